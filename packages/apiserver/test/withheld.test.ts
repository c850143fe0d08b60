import { configmaps, namespaces, secrets } from '@k3s/api/types/core/v1'
import { rolebindings, roles, type PolicyRule } from '@k3s/api/types/rbac/v1'
import { generateKey, issueCertificate, type KeyPair } from '@k3s/pki'
import { connect } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { builtInParts, SigningKeys } from '../src/index.ts'
import { ask, startHttps, type Answer, type HttpsServer } from './start-https.ts'

const rules: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['configmaps', 'pods'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: [''], resources: ['secrets'], resourceNames: ['mine'], verbs: ['get', 'list', 'watch'] },
]

interface Cluster {
  readonly server: HttpsServer
  readonly jane: KeyPair
  /** As jane, who may read some of the namespace `a`. */
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Answer>
}

async function start(): Promise<Cluster> {
  const serviceAccounts = {
    keys: new SigningKeys([await generateKey()]),
    issuers: ['https://issuer.example'],
    baseUrl: 'https://127.0.0.1',
  }
  const server = await startHttps(builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }))
  const { client } = server
  for (const namespace of ['a', 'b']) {
    await client.resource(namespaces).create({ metadata: { name: namespace }, spec: {} })
    for (const name of ['mine', 'other', 'third']) {
      await client.resource(configmaps).create({ metadata: { name, namespace }, data: { from: `map-${namespace}` } })
      await client.resource(secrets).create({ metadata: { name, namespace }, stringData: { from: `secret-${namespace}-${name}` } })
    }
  }
  await client.resource(roles).create({ metadata: { name: 'reader', namespace: 'a' }, rules: [...rules] })
  await client.resource(rolebindings).create({
    metadata: { name: 'jane', namespace: 'a' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'jane' }],
  })
  const jane = await issueCertificate(server.ca, { commonName: 'jane', usages: ['client'] })
  await expect.poll(async () => (await ask(server, '/api/v1/namespaces/a/configmaps', jane)).status).toBe(200)
  return { server, jane, get: (path, headers = {}) => ask(server, path, { ...jane, headers }) }
}

const namesIn = ({ text }: Answer): readonly string[] =>
  [...text.matchAll(/"name":"(mine|other|third)","namespace":"(\w)"/g)].map(([, name, namespace]) => `${namespace}/${name}`)
const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('what a role does not give', () => {
  it('is refused on every way to it, and says nothing of what is there', async () => {
    const { get } = await start()
    for (const path of [
      '/api/v1/configmaps',
      '/api/v1/configmaps?fieldSelector=metadata.namespace%3Da',
      '/api/v1/configmaps?watch=1&timeoutSeconds=1',
      '/api/v1/watch/configmaps?timeoutSeconds=1',
      '/api/v1/namespaces/b/configmaps',
      '/api/v1/namespaces/b/configmaps/mine',
      '/api/v1/watch/namespaces/b/configmaps/mine?timeoutSeconds=1',
      '/api/v1/namespaces/a/secrets',
      '/api/v1/namespaces/a/secrets?fieldSelector=type%3DOpaque',
      '/api/v1/namespaces/a/secrets?fieldSelector=metadata.name%3Dother',
      '/api/v1/namespaces/a/secrets?fieldSelector=metadata.name!%3Dmine',
      '/api/v1/namespaces/a/secrets?labelSelector=a&watch=1&timeoutSeconds=1',
      '/api/v1/namespaces/a/secrets/other',
      '/api/v1/namespaces/a/pods/none/log',
      '/api/v1/namespaces/a/pods/none/exec?command=ls',
      '/api/v1/namespaces/a/pods/none/proxy/',
      '/api/v1/namespaces/a/pods/none/status',
      '/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles',
      '/metrics',
    ])
      for (const accept of [
        'application/json',
        'application/json;as=Table;v=v1;g=meta.k8s.io',
        'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
      ]) {
        const answer = await get(path, { accept })
        expect(answer.status, path).toBe(403)
        expect(answer.text, path).not.toMatch(/secret-|map-/)
      }
    const there = await get('/api/v1/namespaces/b/secrets/mine')
    const nowhere = await get('/api/v1/namespaces/b/secrets/none')
    expect(there.text.replaceAll('mine', 'none')).toBe(nowhere.text)
  })

  it('does not come with what is given', async () => {
    const { get } = await start()
    expect(namesIn(await get('/api/v1/namespaces/a/configmaps'))).toEqual(['a/mine', 'a/other', 'a/third'])
    expect(namesIn(await get('/api/v1/namespaces/a/secrets?fieldSelector=metadata.name%3Dmine'))).toEqual(['a/mine'])
    expect((await get('/api/v1/namespaces/a/secrets/mine')).status).toBe(200)
  })

  it('is not seen by a watch of one name', async () => {
    const { server, get } = await start()
    const watching = get('/api/v1/namespaces/a/secrets?watch=1&timeoutSeconds=2&fieldSelector=metadata.name%3Dmine')
    const changed = server.client.resource(secrets)
    for (const name of ['other', 'mine'])
      await changed.patch(name, { metadata: { labels: { touched: 'yes' } } }, { namespace: 'a', type: 'merge' })
    await changed.delete('other', { namespace: 'a' })
    const names = namesIn(await watching)
    expect(new Set(names)).toEqual(new Set(['a/mine']))
  })

  it('is not reached by a continue token of another list', async () => {
    const { server, get } = await start()
    const asAdmin = (path: string): Promise<Answer> => ask(server, path, server.adminCertificate)
    const tokens: unknown[] = []
    for (const path of ['/api/v1/secrets?limit=1', '/api/v1/configmaps?limit=4', '/api/v1/namespaces/b/secrets?limit=1'])
      tokens.push((await asAdmin(path)).json()['metadata'])
    const revision = Number(((await asAdmin('/api/v1/secrets?limit=1')).json()['metadata'] as { resourceVersion: string }).resourceVersion)
    const starts = ['b/', 'b/mine', '../b/mine', '../../secrets/a/', '/registry/secrets/b/', '\u0000', 'a/../../b/', '__proto__']
    const all = [
      ...tokens.map((metadata) => (metadata as { readonly continue: string }).continue),
      ...starts.flatMap((begin) => [revision, -1].map((rv) => encoded({ v: 'meta.k8s.io/v1', rv, start: begin }))),
    ]
    for (const token of all) {
      const answer = await get(`/api/v1/namespaces/a/configmaps?limit=10&continue=${encodeURIComponent(token)}`)
      expect(answer.text, Buffer.from(token, 'base64url').toString()).not.toMatch(/secret-|map-b/)
    }
  })

  it('is not reached as somebody else', async () => {
    const { get } = await start()
    for (const headers of [
      { 'impersonate-user': 'admin' },
      { 'impersonate-user': 'jane', 'impersonate-group': 'system:masters' },
      { 'impersonate-user': 'system:serviceaccount:kube-system:namespace-controller' },
      { 'impersonate-user': 'system:node:n', 'impersonate-group': 'system:nodes' },
      { 'impersonate-user': 'jane', 'impersonate-extra-scopes': 'all' },
      { 'impersonate-user': 'jane', 'impersonate-uid': '1' },
    ])
      expect((await get('/api/v1/namespaces/a/configmaps', headers)).status, JSON.stringify(headers)).toBe(403)
    for (const headers of [{ 'x-remote-user': 'admin', 'x-remote-group': 'system:masters' }])
      expect((await get('/api/v1/namespaces/b/secrets', headers)).status).toBe(403)
  })

  it('is not told by discovery to who may not ask', async () => {
    const { server, get } = await start()
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'
    expect((await get('/apis', { accept })).status).toBe(200)
    for (const path of ['/api', '/apis', '/openapi/v2', '/openapi/v3', '/api/v1/namespaces', '/metrics'])
      expect((await ask(server, path, { headers: { accept } })).status, path).toBe(403)
  })

  it('is not reached by a token in a WebSocket protocol that is none, which is not said back', async () => {
    const { server } = await start()
    const token = Buffer.from('not-a-token').toString('base64url')
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port: server.listening.port, host: '127.0.0.1', ca: server.ca.cert })
      let text = ''
      socket.on('data', (data: Buffer) => (text += data.toString()))
      socket.on('error', reject)
      socket.on('close', () => resolve(text))
      socket.write(
        `GET /api/v1/namespaces/a/configmaps?watch=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.${token}, base64.binary.k8s.io\r\n\r\n`,
      )
    })
    expect(answer).toMatch(/^HTTP\/1.1 401/)
    expect(answer).not.toContain(token)
    expect(answer).not.toMatch(/secret-|map-/)
  })
})
