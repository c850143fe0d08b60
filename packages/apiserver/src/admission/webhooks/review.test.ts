import { describe, expect, it } from 'vitest'
import { readReview, rejection, reviewVersionOf } from './review.ts'

const head = { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1' }
const read = (response: object, mutates = true) =>
  readReview({ ...head, response: { uid: 'u', ...response } }, { uid: 'u', version: 'v1', mutates })

describe('readReview()', () => {
  it('reads what a webhook may say', () => {
    expect(read({ allowed: true, patchType: 'JSONPatch', patch: 'W10=', warnings: ['w', 1], auditAnnotations: { a: 'b', c: 1 } })).toEqual({
      isAllowed: true,
      patch: '[]',
      patchType: 'JSONPatch',
      result: undefined,
      warnings: ['w'],
      auditAnnotations: { a: 'b' },
    })
    expect(read({}).isAllowed).toBe(false)
    expect(read({ allowed: 'true' }).isAllowed).toBe(false)
  })

  it('asks nothing but an answer of version v1beta1', () => {
    const review = { response: { allowed: true, patch: 'W10=' } }
    const asked = { uid: 'u', version: 'v1beta1' } as const
    expect(readReview(review, { ...asked, mutates: true })).toMatchObject({ isAllowed: true, patch: '[]', patchType: 'JSONPatch' })
    expect(readReview(review, { ...asked, mutates: false }).patch).toBeUndefined()
  })

  it.each([
    [{ patch: 'W10=' }, true, 'webhook returned response.patch but not response.patchType'],
    [{ patchType: 'JSONPatch' }, true, 'webhook returned response.patchType but not response.patch'],
    [{ patch: 'W10=', patchType: '' }, true, 'webhook returned invalid response.patchType of ""'],
    [{ patch: 'W10=' }, false, 'validating webhook may not return response.patch'],
    [{ patchType: 'JSONPatch' }, false, 'validating webhook may not return response.patchType'],
    [{ uid: 'v' }, true, 'expected response.uid="u", got "v"'],
  ])('refuses %j', (response, mutates, message) => {
    expect(() => read(response, mutates)).toThrow(message)
  })

  it.each([undefined, null, [], 'text', head, { ...head, response: null }])('refuses %j', (review) => {
    expect(() => readReview(review, { uid: 'u', version: 'v1', mutates: true })).toThrow('webhook response was absent')
  })
})

describe('rejection()', () => {
  it('says who refused and why, with a code of an error', () => {
    expect(rejection('w', undefined)).toMatchObject({ code: 400, message: 'admission webhook "w" denied the request without explanation' })
    expect(rejection('w', { code: 200, reason: 'Because' })).toMatchObject({
      code: 400,
      reason: 'Because',
      message: 'admission webhook "w" denied the request: Because',
    })
    expect(rejection('w', { code: 418, message: 'teapot' })).toMatchObject({
      code: 418,
      message: 'admission webhook "w" denied the request: teapot',
    })
  })
})

describe('reviewVersionOf()', () => {
  it('is the first that is known', () => {
    expect(reviewVersionOf(['v2', 'v1beta1', 'v1'])).toBe('v1beta1')
    expect(reviewVersionOf(['v2'])).toBeUndefined()
    expect(reviewVersionOf(undefined)).toBeUndefined()
  })
})
