import { StatusError } from '@k3s/api'
import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it, vi } from 'vitest'
import { tokenWebhook, type TokenWebhookOptions } from './token-webhook.ts'

interface Review {
  readonly apiVersion: string
  readonly spec: { readonly token: string; readonly audiences: readonly string[] }
}

function start(answer: (review: Review, count: number) => object, options: Partial<TokenWebhookOptions> = {}) {
  const clock = new FakeClock()
  const asked: Review[] = []
  const hook = {
    post: async (body: object | string) => {
      asked.push(body as Review) // what the authenticator makes
      return { status: answer(body as Review, asked.length) }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  const webhook = tokenWebhook({ hook, audiences: ['api'], clock, random: () => 0, ...options })
  const { signal } = new AbortController()
  const ask = (token: string, audiences?: readonly string[]) => webhook.authenticateToken(token, audiences, signal)
  return { clock, asked, ask }
}

const jane = { authenticated: true, user: { username: 'jane', uid: '7', groups: ['dev'], extra: { k: ['v'] } } }

describe('tokenWebhook()', () => {
  it('believes what the server says, for a while', async () => {
    const { ask, asked, clock } = start(() => jane, { cacheTtlMs: 1000 })
    const expected = { user: { name: 'jane', uid: '7', groups: ['dev'], extra: { k: ['v'] } }, audiences: ['api'] }
    expect(await Promise.all([ask('t'), ask('t')])).toEqual([expected, expected])
    expect(await ask('t')).toEqual(expected)
    expect(asked).toHaveLength(1)
    expect(asked[0]).toMatchObject({ apiVersion: 'authentication.k8s.io/v1beta1', spec: { token: 't', audiences: ['api'] } })
    await clock.advance(1000)
    await ask('t')
    expect(asked).toHaveLength(2)
  })

  it('knows nothing of tokens that the server does not know, and tells what it says of an error', async () => {
    const { ask, asked } = start(({ spec }) =>
      spec.token === 'bad' ? { authenticated: false, error: 'expired' } : { authenticated: false },
    )
    expect(await ask('other')).toBeUndefined()
    expect(await ask('other')).toBeUndefined()
    expect(asked).toHaveLength(1)
    for (let time = 0; time < 2; time++) await expect(ask('bad')).rejects.toMatchObject({ reason: 'Unauthorized', message: 'expired' })
    expect(asked).toHaveLength(3)
  })

  it('takes audiences that both sides name', async () => {
    const { ask } = start(({ spec }) => ({ ...jane, ...(spec.token === 'scoped' ? { audiences: ['vault', 'x'] } : {}) }), { version: 'v1' })
    expect(await ask('scoped', ['vault', 'api'])).toMatchObject({ audiences: ['vault'] })
    expect(await ask('scoped')).toBeUndefined()
    // A server that names none vouches for the API server alone.
    expect(await ask('plain', ['vault'])).toBeUndefined()
  })

  it('asks again what failed for a passing reason, and gives up', async () => {
    const { ask, asked, clock } = start((_review, count) => {
      if (count === 1) throw new StatusError('TooManyRequests', 'later')
      throw new StatusError('Forbidden', 'no')
    })
    const refused = expect(ask('t')).rejects.toMatchObject({ reason: 'Unauthorized', message: 'no' })
    await vi.waitFor(() => expect(clock.sleeping).toBe(1))
    await clock.advance(500)
    await refused
    expect(asked).toHaveLength(2)
  })

  it('takes no user without a name', async () => {
    const { ask } = start(() => ({ authenticated: true, user: { groups: ['system:masters'] } }))
    expect(await ask('t')).toBeUndefined()
  })
})
