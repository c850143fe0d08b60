import { describe, expect, it } from 'vitest'
import type { Attributes } from '../matching/attributes.ts'
import { callWebhook } from './call-webhook.ts'
import type { Invocation } from './should-call.ts'
import type { WebhookClient } from './webhook-client.ts'

// Nobody may be asked.
const client = { post: () => Promise.reject(new Error('asked')) } as unknown as WebhookClient
const attributes = { isDryRun: true } as Attributes
const invocation = (sideEffects: string | undefined, admissionReviewVersions = ['v1']): Invocation =>
  ({ hook: { webhook: { name: 'w', sideEffects, admissionReviewVersions } } }) as unknown as Invocation

describe('callWebhook()', () => {
  it.each(['Some', 'Unknown', undefined])('asks nobody about a dry run who has side effects: %s', async (sideEffects) => {
    await expect(callWebhook(client, attributes, invocation(sideEffects), { mutates: true })).rejects.toMatchObject({
      code: 400,
      reason: 'BadRequest',
      message: 'admission webhook "w" does not support dry run',
    })
  })

  it('asks nobody in a version that we do not know', async () => {
    await expect(callWebhook(client, attributes, invocation('None', ['v2']), { mutates: true })).rejects.toThrow(
      'failed calling webhook "w": could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)',
    )
  })
})
