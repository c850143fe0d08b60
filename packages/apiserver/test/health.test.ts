import { openDatastore } from '@k3s/datastore'
import { describe, expect, it } from 'vitest'
import { healthHandler } from '../src/health/health-handler.ts'
import { StartChecks } from '../src/health/start-checks.ts'
import { startBuiltIn } from './start-cluster.ts'
import { startServer } from './start-server.ts'

const authorizers = [{ name: 'all', authorize: () => ({ decision: 'allow', reason: '' }) as const }]

describe('health', () => {
  it('is told check by check, in upstream’s words', async () => {
    const { server } = await startServer({ authorizers })
    const get = async (url: string) => (await server.inject({ method: 'GET', url })).body
    expect(await get('/healthz')).toBe('ok')
    expect((await get('/readyz?verbose')).split('\n')).toEqual([
      '[+]ping ok',
      '[+]log ok',
      '[+]etcd ok',
      '[+]etcd-readiness ok',
      '[+]informer-sync ok',
      '[+]poststarthook/start-apiserver-admission-initializer ok',
      '[+]poststarthook/generic-apiserver-start-informers ok',
      '[+]poststarthook/priority-and-fairness-config-consumer ok',
      '[+]poststarthook/priority-and-fairness-filter ok',
      '[+]poststarthook/storage-object-count-tracker-hook ok',
      '[+]poststarthook/start-apiextensions-informers ok',
      '[+]poststarthook/start-apiextensions-controllers ok',
      '[+]poststarthook/crd-informer-synced ok',
      '[+]poststarthook/start-system-namespaces-controller ok',
      '[+]poststarthook/storage-readiness ok',
      '[+]poststarthook/start-legacy-token-tracking-controller ok',
      '[+]poststarthook/priority-and-fairness-config-producer ok',
      '[+]shutdown ok',
      'readyz check passed',
      '',
    ])
    expect(await get('/livez?verbose')).not.toContain('shutdown')
    expect(await get('/readyz?verbose&exclude=ping&exclude=nope')).toMatch(
      /^\[\+\]ping excluded: ok\n[\s\S]*\nwarn: some health checks cannot be excluded: no matches for "nope"\nreadyz check passed\n$/,
    )
    expect(await get('/readyz/poststarthook/crd-informer-synced')).toBe('ok')
    for (const url of ['/healthz/nope', '/healthz/', '/livez/shutdown'])
      expect((await server.inject({ method: 'GET', url })).statusCode, url).toBe(404)
  })

  it('names the parts of a whole control plane', async () => {
    const { server } = await startBuiltIn({
      authorizers,
      advertised: { address: '192.0.2.1', port: 6443, serviceIp: '10.43.0.1', serviceCidrs: ['10.43.0.0/16'] },
      aggregation: { proxyCertificate: () => undefined },
    })
    await expect.poll(async () => (await server.inject({ method: 'GET', url: '/readyz' })).body).toBe('ok')
    const { body } = await server.inject({ method: 'GET', url: '/readyz?verbose' })
    for (const name of [
      'poststarthook/rbac/bootstrap-roles',
      'poststarthook/scheduling/bootstrap-system-priority-classes',
      'poststarthook/bootstrap-controller',
      'poststarthook/start-kubernetes-service-cidr-controller',
      'poststarthook/kube-apiserver-autoregistration',
      'autoregister-completion',
    ])
      expect(body).toContain(`[+]${name} ok\n`)
  })

  it('tells in public only that something fails, and to who may ask for it why', async () => {
    const { server, datastore } = await startServer({ authorizers })
    await datastore[Symbol.asyncDispose]()
    const whole = await server.inject({ method: 'GET', url: '/livez' })
    expect(whole.statusCode).toBe(500)
    expect(whole.body).toMatch(/^\[\+\]ping ok\n\[\+\]log ok\n\[-\]etcd failed: reason withheld\n[\s\S]*livez check failed\n$/)
    expect((await server.inject({ method: 'GET', url: '/livez/etcd' })).body).toMatch(/^internal server error: .+\n$/)
    expect((await server.inject({ method: 'GET', url: '/livez?exclude=etcd' })).statusCode).toBe(200)
  })

  it('is bad until what starts has finished, and ready no more when the server stops', async () => {
    await using datastore = await openDatastore('memory:')
    const start = new StartChecks(['rbac/bootstrap-roles'])
    let isStopping = false
    const core = { datastore, feed: { revision: 1 }, logger: { debug() {}, info() {}, warn() {}, error() {}, child: () => core.logger } }
    const handler = healthHandler({ core: core as never, start, isStopping: () => isStopping })
    const ask = async (path: string): Promise<string> => {
      const answer = await handler({ query: new URLSearchParams(), signal: new AbortController().signal } as never, { path } as never)
      return answer?.type === 'bytes' ? `${answer.code} ${String(answer.bytes)}` : ''
    }
    expect(await ask('/livez/poststarthook/rbac/bootstrap-roles')).toBe('500 internal server error: not finished\n')
    expect(await ask('/healthz')).toMatch(/^500 [\s\S]*\[-\]poststarthook\/rbac\/bootstrap-roles failed: reason withheld\n/)
    start.finish('rbac/bootstrap-roles')
    expect(await ask('/readyz')).toBe('200 ok')
    isStopping = true
    expect(await ask('/readyz')).toMatch(/\[-\]shutdown failed/)
    expect(await ask('/livez')).toBe('200 ok')
    expect(() => start.finish('nothing')).toThrow('the server starts without "nothing"')
  })
})
