import { createServer } from 'node:https'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { FakeClock } from '@k3s/lifecycle'
import { createCa, issueCertificate } from '@k3s/pki'
import { SignJWT } from 'jose'
import { describe, expect, it, onTestFinished } from 'vitest'
import { configurationOfFlags, parseAuthenticationConfiguration, type JwtAuthenticatorConfig } from './configuration.ts'
import { oidcAuthenticator } from './oidc-authenticator.ts'

interface Issuer {
  readonly url: string
  readonly ca: string
  readonly requests: string[]
  /** Signs with a new key from now on. */
  rotate(): void
  sign(claims: Record<string, unknown>, issuer?: string): Promise<string>
}

const now = Date.parse('2026-01-01T00:00:00Z')

/** An issuer over HTTPS with keys that change. */
async function startIssuer(): Promise<Issuer> {
  const ca = await createCa('issuer-ca')
  const own = await issueCertificate(ca, { commonName: 'issuer', sans: ['127.0.0.1'], usages: ['server'] })
  const keys: { readonly kid: string; readonly publicKey: KeyObject; readonly privateKey: KeyObject }[] = []
  const requests: string[] = []
  const server = createServer(own, (request, response) => {
    requests.push(request.url ?? '')
    const document =
      request.url === '/keys'
        ? { keys: keys.map(({ kid, publicKey }) => ({ kid, use: 'sig', alg: 'ES256', ...publicKey.export({ format: 'jwk' }) })) }
        : { issuer: url, jwks_uri: `${url}/keys` }
    response.end(JSON.stringify(document))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}` // it listens on TCP
  const rotate = (): void => void keys.unshift({ kid: `k${keys.length}`, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) })
  rotate()
  return {
    url,
    ca: ca.cert,
    requests,
    rotate,
    sign: (claims, issuer = url) => {
      const [key] = keys
      if (key === undefined) throw new Error('no key')
      const all = { aud: 'me', exp: now / 1000 + 600, ...claims, iss: issuer }
      return new SignJWT(all).setProtectedHeader({ alg: 'ES256', kid: key.kid }).sign(key.privateKey)
    },
  }
}

async function start(change: Partial<JwtAuthenticatorConfig> = {}) {
  const issuer = await startIssuer()
  const clock = new FakeClock(now)
  const config: JwtAuthenticatorConfig = {
    issuer: { url: issuer.url, audiences: ['me'], certificateAuthority: issuer.ca },
    claimMappings: { username: { claim: 'sub', prefix: 'oidc:' }, groups: { claim: 'groups', prefix: 'g:' } },
    ...change,
  }
  const authenticator = oidcAuthenticator(config, { clock })
  const ask = async (claims: Record<string, unknown>) =>
    (await authenticator.authenticateToken(await issuer.sign(claims), undefined, new AbortController().signal))?.user
  return { issuer, clock, authenticator, ask }
}

describe('tokens of an issuer', () => {
  it('tell a user and its groups', async () => {
    const { ask, issuer } = await start()
    expect(await ask({ sub: 'ada', groups: ['dev', 'ops'] })).toEqual({ name: 'oidc:ada', uid: undefined, groups: ['g:dev', 'g:ops'] })
    expect((await ask({ sub: 'ada', groups: 'dev' }))?.groups).toEqual(['g:dev'])
    expect((await ask({ sub: 'ada' }))?.groups).toEqual([])
    expect(issuer.requests).toEqual(['/.well-known/openid-configuration', '/keys'])
  })

  it.each([
    [{ sub: 'ada', aud: 'you' }, 'unexpected "aud" claim value'],
    [{ sub: 'ada', exp: now / 1000 - 1 }, '"exp" claim timestamp check failed'],
    [{ sub: 'ada', exp: undefined }, 'missing required "exp" claim'],
    [{ sub: 7 }, 'oidc: parse username claims "sub": claim "sub" is no string'],
    [{}, 'oidc: parse username claims "sub": claim not present'],
  ])('are refused with %j', async (claims, message) => {
    const { ask } = await start()
    await expect(ask(claims)).rejects.toMatchObject({ reason: 'Unauthorized', message: expect.stringContaining(message) as string })
  })

  it('are nobody’s when they are of another issuer, or no tokens', async () => {
    const { authenticator, issuer } = await start()
    const { signal } = new AbortController()
    for (const token of ['x', 'a.b.c', await issuer.sign({ sub: 'a' }, 'https://other')])
      expect(await authenticator.authenticateToken(token, undefined, signal)).toBeUndefined()
    expect(issuer.requests).toEqual([])
  })

  it('are known by new keys, which are looked for now and then', async () => {
    const { ask, issuer, clock } = await start()
    await ask({ sub: 'ada' })
    issuer.rotate()
    await expect(ask({ sub: 'ada' })).rejects.toMatchObject({ reason: 'Unauthorized' })
    expect(issuer.requests).toHaveLength(2)
    await clock.advance(10_000)
    expect((await ask({ sub: 'ada' }))?.name).toBe('oidc:ada')
    expect(issuer.requests).toHaveLength(4)
  })

  it('with an email that was not verified are refused', async () => {
    const { ask } = await start({ claimMappings: { username: { claim: 'email' } } })
    expect((await ask({ email: 'a@b' }))?.name).toBe('a@b')
    await expect(ask({ email: 'a@b', email_verified: false })).rejects.toMatchObject({ message: 'oidc: email not verified' })
  })

  it('are mapped and judged by expressions', async () => {
    const { ask } = await start({
      claimMappings: {
        username: { expression: '"x:" + claims.sub' },
        groups: { expression: 'claims.roles.split(",")' },
        uid: { expression: 'claims.id' },
        extra: [{ key: 'example.com/team', valueExpression: 'has(claims.team) ? claims.team : ""' }],
      },
      claimValidationRules: [
        { claim: 'hd', requiredValue: 'example.com' },
        { expression: 'claims.level > 2.0', message: 'too low' },
      ],
      userValidationRules: [{ expression: '!user.username.startsWith("x:system:")', message: 'reserved' }],
    })
    const claims = { sub: 'ada', roles: 'a,b', id: '7', hd: 'example.com', level: 3 }
    expect(await ask({ ...claims, team: 'red' })).toEqual({
      name: 'x:ada',
      uid: '7',
      groups: ['a', 'b'],
      extra: { 'example.com/team': ['red'] },
    })
    expect(await ask(claims)).not.toHaveProperty('extra')
    await expect(ask({ ...claims, hd: 'x' })).rejects.toMatchObject({
      message: 'oidc: required claim hd value does not match. Got = x, want = example.com',
    })
    await expect(ask({ ...claims, level: 1 })).rejects.toMatchObject({ message: expect.stringContaining('too low') as string })
    await expect(ask({ ...claims, sub: 'system:admin' })).rejects.toMatchObject({ message: expect.stringContaining('reserved') as string })
  })
})

describe('configuration', () => {
  const text = `
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: { url: https://i.example, audiences: [a] }
  claimMappings:
    username: { claim: sub, prefix: "" }
anonymous:
  enabled: true
  conditions: [{ path: /livez }]
`
  it('is read from YAML', () => {
    const { jwt, anonymous } = parseAuthenticationConfiguration(text)
    expect(jwt[0]?.issuer).toMatchObject({ url: 'https://i.example', audiences: ['a'] })
    expect(anonymous).toEqual({ enabled: true, paths: ['/livez'] })
  })

  it.each([
    ['url: https://i.example', 'url: http://i.example', 'jwt[0].issuer.url: URL scheme must be https'],
    ['audiences: [a]', 'audiences: []', 'jwt[0].issuer.audiences: at least one is required'],
    ['claim: sub', 'clam: sub', 'jwt[0].claimMappings.username.clam: unknown field'],
    ['claim: sub', 'claim: sub, expression: x', 'jwt[0].claimMappings.username: exactly one of claim and expression is required'],
    ['kind: Auth', 'kind: X', 'kind: must be AuthenticationConfiguration'],
    ['https://i.example', 'https://u:p@i.example', 'jwt[0].issuer.url: URL must not contain a username or password'],
    ['https://i.example', 'https://i.example?a', 'jwt[0].issuer.url: URL must not contain a query'],
    [
      'audiences: [a]',
      'audiences: [a], discoveryURL: "https://i.example/"',
      'jwt[0].issuer.discoveryURL: discoveryURL must be different from URL',
    ],
    ['audiences: [a]', 'audiences: [a, b]', 'jwt[0].issuer.audienceMatchPolicy: must be MatchAny for multiple audiences'],
    [', prefix: ""', '', 'jwt[0].claimMappings.username.prefix: required when claim is set'],
    ['enabled: true', 'enabled: false', 'anonymous.conditions: enabled should be set to true when conditions are defined'],
  ])('with %j replaced by %j is refused', (from, to, message) => {
    expect(() => parseAuthenticationConfiguration(text.replace(from, to))).toThrow(message)
  })

  it('refuses expressions that do not compile', () => {
    const config = configurationOfFlags({ issuerUrl: 'https://i', clientId: 'c' })
    const odd = { ...config, claimMappings: { username: { expression: 'claims.' } } }
    expect(() => oidcAuthenticator(odd, { clock: new FakeClock(0) })).toThrow('compilation failed')
  })

  it('comes from flags, with a prefix unless there is to be none', () => {
    const username = (flags: object): unknown =>
      configurationOfFlags({ issuerUrl: 'https://i', clientId: 'c', ...flags }).claimMappings.username
    expect(username({})).toEqual({ claim: 'sub', prefix: 'https://i#' })
    expect(username({ usernameClaim: 'email' })).toEqual({ claim: 'email', prefix: '' })
    expect(username({ usernamePrefix: '-' })).toEqual({ claim: 'sub', prefix: '' })
    expect(username({ usernamePrefix: 'p:' })).toEqual({ claim: 'sub', prefix: 'p:' })
  })
})
