import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noLogger, noMetrics } from '@k3s/lifecycle'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { parseApiServerArgs } from './arguments.ts'
import { openAdmission } from './open-admission.ts'
import { openAudit } from './open-audit.ts'
import { openAuthentication } from './open-authentication.ts'
import { openAuthorization } from './open-authorization.ts'
import { openEncryptionConfig } from './open-encryption.ts'
import { openServiceAccounts } from './open-service-accounts.ts'

function folder(): (name: string, text: string) => string {
  const path = mkdtempSync(join(tmpdir(), 'k3s-args-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return (name, text) => {
    writeFileSync(join(path, name), text)
    return join(path, name)
  }
}

const reloaded = { timeout: 20_000, interval: 100 }

describe('openAudit()', () => {
  it('opens what the arguments name, and says what is wrong with it', async () => {
    const written: string[] = []
    await using stack = new AsyncDisposableStack()
    const io = { stdout: { write: (text: string) => written.push(text) }, logger: noLogger, metrics: noMetrics, stack }
    const write = folder()
    const open = (...args: readonly string[]) => openAudit(parseApiServerArgs(args).audit, io)
    expect(await open('audit-log-path=-')).toBeUndefined()
    await expect(open('audit-log-path=-', 'audit-policy-file=/none')).rejects.toThrow('the file does not exist')
    await expect(open('audit-log-path=-', `audit-policy-file=${write('bad', '{}')}`)).rejects.toThrow('must be a Policy of audit.k8s.io/v1')
    const policy = write('policy', '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}')
    const audit = await open('audit-log-path=-', `audit-policy-file=${policy}`)
    await audit?.sinks[0]?.write('{}')
    expect(written).toEqual(['{}\n'])
    await expect(open(`audit-policy-file=${policy}`, 'audit-webhook-config-file=/none')).rejects.toThrow('Cannot use "/none"')
    const kubeconfig = write(
      'kc',
      '{clusters: [{name: a, cluster: {server: "https://127.0.0.1:1/"}}], contexts: [{name: a, context: {cluster: a}}], current-context: a}',
    )
    const both = await open('audit-log-path=-', `audit-policy-file=${policy}`, `audit-webhook-config-file=${kubeconfig}`)
    expect(both?.sinks.map(({ name }) => name)).toEqual([undefined, 'buffered'])
    const strict = await open(
      `audit-policy-file=${policy}`,
      `audit-webhook-config-file=${kubeconfig}`,
      'audit-webhook-mode=blocking-strict',
    )
    expect(strict?.sinks).toMatchObject([{ name: 'webhook', isStrict: true }])
  })
})

describe('openEncryptionConfig()', () => {
  it('follows changes of the file', async () => {
    await using stack = new AsyncDisposableStack()
    const io = { logger: noLogger, stack }
    const write = folder()
    expect(await openEncryptionConfig(undefined, io)).toBeUndefined()
    await expect(openEncryptionConfig(write('bad', '{}'), io)).rejects.toThrow('must be a EncryptionConfiguration')
    const render = (name: string): string =>
      JSON.stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'EncryptionConfiguration',
        resources: [{ resources: ['secrets'], providers: [{ aescbc: { keys: [{ name, secret: Buffer.alloc(32).toString('base64') }] } }] }],
      })
    const encryption = await openEncryptionConfig(write('encryption', render('key1')), io)
    const key = '/registry/secrets/a/b'
    const sealed = (): string => Buffer.from(encryption?.transformerOf(key)?.seal(Buffer.from('x'), key) ?? []).toString('latin1')
    expect(sealed()).toMatch(/^k8s:enc:aescbc:v1:key1:/)
    write('encryption', render('key22'))
    await vi.waitFor(() => expect(sealed()).toMatch(/^k8s:enc:aescbc:v1:key22:/), reloaded)
  })
})

describe('openAuthentication()', () => {
  const configuration = (url: string, more = ''): string =>
    `apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer: {url: "${url}", audiences: [a]}\n  claimMappings: {username: {claim: sub, prefix: ""}}\n${more}`
  const { signal } = new AbortController()
  const start = () => {
    const stack = new AsyncDisposableStack()
    onTestFinished(() => stack.disposeAsync())
    const io = { ownIssuers: ['https://own'], audiences: ['api'], logger: noLogger, stack }
    return (...args: readonly string[]) => openAuthentication(parseApiServerArgs(args).authentication, io)
  }

  it('knows the tokens of a file', async () => {
    const open = start()
    const { tokens, allowAnonymous } = await open(
      `token-auth-file=${folder()('tokens', 'secret,jane,u1,"dev,ops"\n')}`,
      'anonymous-auth=false',
    )
    expect(allowAnonymous).toBe(false)
    expect(await tokens[0]?.authenticateToken('secret', undefined, signal)).toEqual({
      user: { name: 'jane', uid: 'u1', groups: ['dev', 'ops'] },
    })
    expect(await tokens[0]?.authenticateToken('other', undefined, signal)).toBeUndefined()
    await expect(open(`token-auth-file=${folder()('bad', 'one,two\n')}`)).rejects.toThrow('has not the fields "secret,user,uid"')
  })

  it('takes issuers and anonymous paths from a configuration, and follows the issuers', async () => {
    const open = start()
    const write = folder()
    const file = write('config', configuration('https://one', 'anonymous: {enabled: true, conditions: [{path: /livez}]}'))
    const { tokens, allowAnonymous } = await open(`authentication-config=${file}`)
    expect(allowAnonymous).toEqual({ paths: ['/livez'] })
    const claims = Buffer.from(JSON.stringify({ iss: 'https://two' })).toString('base64url')
    const ask = (): Promise<unknown> =>
      tokens[0]?.authenticateToken(`${Buffer.from('{}').toString('base64url')}.${claims}.x`, undefined, signal) ?? Promise.resolve()
    expect(await ask()).toBeUndefined()
    write('config', configuration('https://two'))
    // The token is of a known issuer now, and a bad one.
    await vi.waitFor(async () => await expect(ask()).rejects.toMatchObject({ reason: 'Unauthorized' }), reloaded)
  })

  it('says what is wrong', async () => {
    const open = start()
    const write = folder()
    await expect(open('authentication-config=/none')).rejects.toThrow('the file does not exist')
    await expect(open(`authentication-config=${write('own', configuration('https://own'))}`)).rejects.toThrow(
      'it is the issuer of service account tokens',
    )
    await expect(open(`authentication-config=${write('bad', configuration('http://x'))}`)).rejects.toThrow('URL scheme must be https')
    const anonymous = write('anonymous', configuration('https://x', 'anonymous: {enabled: false}'))
    await expect(open(`authentication-config=${anonymous}`, 'anonymous-auth=true')).rejects.toThrow(
      'the authentication-config says what is anonymous',
    )
    await expect(open('oidc-issuer-url=https://own', 'oidc-client-id=c')).rejects.toThrow('it is the issuer of service account tokens')
    await expect(open('authentication-token-webhook-config-file=/none')).rejects.toThrow('Cannot use "/none"')
  })
})

describe('openAuthorization()', () => {
  const hook = JSON.stringify({
    clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:1/' } }],
    contexts: [{ name: 'a', context: { cluster: 'a' } }],
    'current-context': 'a',
  })
  const webhook = (name: string, kubeConfigFile: string): object => ({
    type: 'Webhook',
    name,
    webhook: {
      timeout: '1s',
      subjectAccessReviewVersion: 'v1',
      failurePolicy: 'Deny',
      connectionInfo: { type: 'KubeConfigFile', kubeConfigFile },
    },
  })
  const configuration = (...authorizers: readonly object[]): string =>
    JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'AuthorizationConfiguration', authorizers })
  const [node, rbac] = [
    { type: 'Node', name: 'node' },
    { type: 'RBAC', name: 'rbac' },
  ]

  const start = () => {
    const stack = new AsyncDisposableStack()
    onTestFinished(() => stack.disposeAsync())
    const errors: string[] = []
    const logger = { ...noLogger, error: (fields: object) => void errors.push(String('err' in fields ? fields.err : '')) }
    const open = (...args: readonly string[]) =>
      openAuthorization(parseApiServerArgs(args).authorization, { logger, metrics: noMetrics, stack })
    const namesOf = async (...args: readonly string[]): Promise<() => readonly string[]> => {
      const authorizers = await open(...args)
      return () =>
        (typeof authorizers === 'function' ? authorizers() : authorizers).map((one) => (typeof one === 'string' ? one : one.name))
    }
    return { open, namesOf, errors }
  }

  it('takes who decides from arguments, or from a file that it follows', async () => {
    const { namesOf, errors } = start()
    const write = folder()
    const kubeconfig = write('kubeconfig', hook)
    expect((await namesOf())()).toEqual(['Node', 'RBAC'])
    expect((await namesOf('authorization-mode=Webhook,RBAC', `authorization-webhook-config-file=${kubeconfig}`))()).toEqual([
      'Webhook',
      'RBAC',
    ])
    const file = write('config', configuration(node, rbac))
    const names = await namesOf(`authorization-config=${file}`)
    expect(names()).toEqual(['Node', 'RBAC'])
    write('config', configuration(rbac))
    await vi.waitFor(() => expect(errors).toEqual(['TypeError: missing required types: [Node]']), reloaded)
    write('config', configuration(node, webhook('one', kubeconfig), webhook('two', kubeconfig), rbac))
    await vi.waitFor(() => expect(names()).toEqual(['Node', 'Webhook', 'Webhook', 'RBAC']), reloaded)
  })

  it('says what is wrong', async () => {
    const { open } = start()
    const write = folder()
    await expect(open('authorization-config=/none')).rejects.toThrow('the file does not exist')
    await expect(open(`authorization-config=${write('bad', configuration())}`)).rejects.toThrow(
      'at least one authorization mode must be defined',
    )
    await expect(open(`authorization-config=${write('far', configuration(webhook('one', '/none')))}`)).rejects.toThrow('/none')
    await expect(open('authorization-mode=Webhook', 'authorization-webhook-config-file=/none')).rejects.toThrow('Cannot use "/none"')
  })
})

describe('openServiceAccounts()', () => {
  const pem = (): string =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

  it('signs with the key that is named and verifies with all', async () => {
    const write = folder()
    const io = { ownKey: pem(), clusterDomain: 'cluster.local', baseUrl: 'https://127.0.0.1:6443' }
    const open = (...args: readonly string[]) => openServiceAccounts(parseApiServerArgs(args).serviceAccounts, io)
    const plain = await open()
    expect(plain).toMatchObject({
      issuers: ['https://kubernetes.default.svc.cluster.local'],
      audiences: ['https://kubernetes.default.svc.cluster.local', 'k3s'],
    })
    expect(plain.keys.verifying).toHaveLength(1)
    const [one, two] = [write('one', pem()), write('two', pem())]
    const given = await open(
      `service-account-signing-key-file=${one}`,
      `service-account-key-file=${two}`,
      'service-account-issuer=https://a',
      'service-account-max-token-expiration=2h',
    )
    expect(given).toMatchObject({ issuers: ['https://a'], audiences: ['https://a', 'k3s'], maxExpirationSeconds: 7200 })
    expect(given.keys.verifying).toHaveLength(2)
    expect(given.keys.signing.id).not.toBe(plain.keys.signing.id)
    await expect(open(`service-account-signing-key-file=${write('none', 'x')}`)).rejects.toThrow('No private key')
    await expect(open(`service-account-key-file=${write('none', 'x')}`)).rejects.toThrow('it has no key')
  })
})

describe('openAdmission()', () => {
  it('reads the configuration of PodSecurity, in place or from another file', async () => {
    const write = folder()
    const policy = 'apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\ndefaults: {enforce: baseline}\n'
    write('policy.yaml', policy)
    const open = (plugins: string) =>
      openAdmission(
        parseApiServerArgs([
          `admission-control-config-file=${write('config.yaml', `{apiVersion: apiserver.config.k8s.io/v1, kind: AdmissionConfiguration, plugins: ${plugins}}`)}`,
        ]).admission,
      )
    const wanted = { defaults: { enforce: { level: 'baseline', version: 'latest' }, warn: { level: 'privileged' } } }
    expect((await open('[{name: PodSecurity, path: policy.yaml}]')).podSecurity).toMatchObject(wanted)
    expect(
      (
        await open(
          `[{name: PodSecurity, configuration: {apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, defaults: {enforce: baseline}}}]`,
        )
      ).podSecurity,
    ).toMatchObject(wanted)
    await expect(open('[{name: EventRateLimit, path: x}]')).rejects.toThrow('"EventRateLimit" has no configuration here')
    await expect(open('[{name: PodSecurity, configuration: {}}]')).rejects.toThrow('plugins[0]: must be a PodSecurityConfiguration')
  })
})
