import { StatusError } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import type { Authenticator } from '../auth/auth.ts'
import { bearerAuthenticator } from '../auth/tokens/token-authenticator.ts'
import { authenticate } from './authenticate.ts'

const known: Authenticator = bearerAuthenticator({
  name: 'known',
  authenticateToken: (token) => {
    if (token === 'expired') return Promise.reject(new StatusError('Unauthorized', 'expired'))
    return Promise.resolve(token === 'good' ? { user: { name: 'jane', groups: ['dev'] } } : undefined)
  },
})

const ask = (headers: Record<string, string>, allowAnonymous = true): Promise<string> =>
  authenticate([known], { headers }, { allowAnonymous, signal: new AbortController().signal }).then(
    ({ name, groups }) => `${name} ${groups.join(',')}`,
    (error: unknown) => (error instanceof StatusError ? `${error.code} ${error.message}` : String(error)),
  )

describe('authenticate()', () => {
  it.each([
    [{}, 'system:anonymous system:unauthenticated'],
    [{ authorization: 'Bearer good' }, 'jane dev,system:authenticated'],
    [{ authorization: 'bearer good ignored' }, 'jane dev,system:authenticated'],
    [{ authorization: 'Bearer bad' }, '401 Unauthorized'],
    [{ authorization: 'Bearer expired' }, '401 Unauthorized'],
    // What nobody here takes is nothing.
    [{ authorization: 'Basic eDp5' }, 'system:anonymous system:unauthenticated'],
    [{ authorization: 'Foo bar' }, 'system:anonymous system:unauthenticated'],
    [{ authorization: 'Bearer ' }, 'system:anonymous system:unauthenticated'],
    [{ authorization: 'Bearer  good' }, 'system:anonymous system:unauthenticated'],
    [
      { 'sec-websocket-protocol': `a, base64url.bearer.authorization.k8s.io.${Buffer.from('bad').toString('base64url')}` },
      '401 Unauthorized',
    ],
  ])('%j: %s', async (headers, expected) => {
    expect(await ask(headers)).toBe(expected)
  })

  it('lets nobody in without credentials where that is not allowed', async () => {
    expect(await ask({}, false)).toBe('401 Unauthorized')
    expect(await ask({ authorization: 'Basic eDp5' }, false)).toBe('401 Unauthorized')
  })
})
