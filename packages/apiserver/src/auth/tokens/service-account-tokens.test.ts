import { type Secret, secrets, type ServiceAccount, serviceaccounts } from '@k3s/api/types/core/v1'
import { FakeClock } from '@k3s/lifecycle'
import { generateKey } from '@k3s/pki'
import { describe, expect, it } from 'vitest'
import { objectsOf, stored } from '../../../test/strategy-runs.ts'
import type { ResourceOperations } from '../../registry/strategy.ts'
import { issuerDocument } from './issuer-documents.ts'
import { ServiceAccountTokens } from './service-account-tokens.ts'
import { SigningKeys } from './signing-keys.ts'

const account: ServiceAccount = { metadata: { name: 'robot', namespace: 'a', uid: 'u1' } }
const issuers = ['https://issuer.example']

async function start(labels: Record<string, string> = {}) {
  const clock = new FakeClock(Date.parse('2026-01-01T12:00:00Z'))
  const secret: Secret = { metadata: { name: 's', namespace: 'a', uid: 'u2', labels }, type: 'kubernetes.io/service-account-token' }
  const keys = new SigningKeys([await generateKey()])
  let writes = 0
  const guaranteedUpdate = ((_type: unknown, _at: unknown, change: (object: Secret) => void) => {
    writes++
    change(secret)
    return Promise.resolve(secret)
  }) as unknown as ResourceOperations['guaranteedUpdate'] // only Secrets are written
  const objects = objectsOf(stored(serviceaccounts, account), stored(secrets, secret))
  const tokens = new ServiceAccountTokens({ keys, issuers, objects, clock, operations: { guaranteedUpdate } })
  const token = await tokens.issueForSecret(account, secret)
  secret.data = { token: Buffer.from(token).toString('base64') }
  return { clock, secret, keys, tokens, token, writes: () => writes }
}

describe('the token of a Secret', () => {
  it('tells the day on which it was last used, once a day', async () => {
    const { clock, secret, tokens, token, writes } = await start()
    for (let count = 0; count < 3; count++)
      expect((await tokens.authenticateToken(token, undefined))?.user.name).toBe('system:serviceaccount:a:robot')
    expect(secret.metadata.labels).toEqual({ 'kubernetes.io/legacy-token-last-used': '2026-01-01' })
    expect(writes()).toBe(1)
    await clock.advance(24 * 3_600_000)
    await tokens.authenticateToken(token, undefined)
    expect(secret.metadata.labels).toEqual({ 'kubernetes.io/legacy-token-last-used': '2026-01-02' })
  })

  it('is noted in the audit log, and so is one that should have been renewed', async () => {
    const { clock, tokens, token } = await start()
    const { signal } = new AbortController()
    const notesOf = async (shown: string): Promise<Record<string, string>> => {
      const notes: Record<string, string> = {}
      await tokens.authenticateToken(shown, undefined, signal, (key, value) => void (notes[key] = value)).catch(() => {})
      return notes
    }
    const prefix = 'authentication.k8s.io'
    expect(await notesOf(token)).toEqual({
      [`${prefix}/legacy-token`]: 'system:serviceaccount:a:robot',
      [`${prefix}/legacy-token-manual-secret`]: 's',
    })
    const marked = await start({ 'kubernetes.io/legacy-token-invalid-since': '2025-12-31' })
    const notes: Record<string, string> = {}
    await marked.tokens.authenticateToken(marked.token, undefined, signal, (key, value) => void (notes[key] = value)).catch(() => {})
    expect(notes).toMatchObject({ [`${prefix}/legacy-token-invalidated`]: 's/a' })
    const bound = await tokens.issue({ account, audiences: issuers, expirationSeconds: 7200, warnAfterSeconds: 3600 })
    expect(await notesOf(bound)).toEqual({})
    await clock.advance(3_610_000)
    expect(await notesOf(bound)).toEqual({
      [`${prefix}/stale-token`]: 'subject: system:serviceaccount:a:robot, seconds after warning threshold: 10',
    })
  })

  it('is refused when it was marked', async () => {
    const { tokens, token } = await start({ 'kubernetes.io/legacy-token-invalid-since': '2025-12-31' })
    await expect(tokens.authenticateToken(token, undefined)).rejects.toMatchObject({
      message: expect.stringContaining('the token in secret a/s for service account a/robot has been marked invalid') as string,
    })
  })

  it('is refused when the Secret holds another', async () => {
    const { secret, tokens, token } = await start()
    await tokens.authenticateToken(token, undefined)
    secret.data = { token: Buffer.from('other').toString('base64') }
    await expect(tokens.authenticateToken(token, undefined)).rejects.toMatchObject({ message: "Token does not match server's copy" })
  })
})

describe('a token that was verified', () => {
  it('is verified anew when keys are replaced, and ends when its time is up', async () => {
    const { clock, keys, tokens } = await start()
    const token = await tokens.issue({ account, audiences: issuers, expirationSeconds: 600 })
    await expect(tokens.authenticateToken(token, undefined)).resolves.toMatchObject({ audiences: issuers })
    await clock.advance(601_000)
    await expect(tokens.authenticateToken(token, undefined)).resolves.toBeDefined()
    await clock.advance(60_000)
    await expect(tokens.authenticateToken(token, undefined)).rejects.toMatchObject({ message: 'service account token has expired' })
    const fresh = await tokens.issue({ account, audiences: issuers, expirationSeconds: 600 })
    await tokens.authenticateToken(fresh, undefined)
    keys.replace([await generateKey()])
    await expect(tokens.authenticateToken(fresh, undefined)).rejects.toMatchObject({ message: 'invalid signature, no keys found' })
  })
})

it('documents of the issuer may be kept for an hour', async () => {
  const { tokens } = await start()
  for (const path of ['/openid/v1/jwks', '/.well-known/openid-configuration'])
    expect(issuerDocument(tokens, path, { baseUrl: 'https://127.0.0.1' })?.headers).toEqual({ 'cache-control': 'public, max-age=3600' })
})
