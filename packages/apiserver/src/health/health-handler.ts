import type { Answer } from '../pipeline/answer.ts'
import type { ApiCore } from '../pipeline/api-core.ts'
import type { NonResourceHandler } from '../pipeline/handle-call.ts'
import type { StartChecks } from './start-checks.ts'

interface Check {
  readonly name: string
  /** Throws when it fails. */
  run(signal: AbortSignal): Promise<void> | void
}

// A datastore that does not answer for this long makes the server unready.
const datastoreTimeoutMs = 2000

const endpoints = ['/healthz', '/livez', '/readyz'] as const
// Upstream has these among the other hooks, but not under their common name.
const bareNames = new Set(['autoregister-completion'])

export interface HealthOptions {
  readonly core: Pick<ApiCore, 'datastore' | 'feed' | 'logger'>
  readonly start: StartChecks
  readonly isStopping: () => boolean
}

/** `/healthz`, `/livez` and `/readyz`, with `?verbose`, `?exclude=NAME` and one path for each check. */
export function healthHandler({ core: { datastore, feed, logger }, start, isStopping }: HealthOptions): NonResourceHandler {
  const ping: Check = { name: 'ping', run: () => {} }
  const log: Check = { name: 'log', run: () => logger.debug({}, 'Health is asked for') }
  const askDatastore: Check['run'] = async (signal) =>
    void (await datastore.currentRevision({ signal: AbortSignal.any([signal, AbortSignal.timeout(datastoreTimeoutMs)]) }))
  const store: Check = { name: 'etcd', run: askDatastore }
  const storeReady: Check = { name: 'etcd-readiness', run: askDatastore }
  const informers: Check = {
    name: 'informer-sync',
    run: () => {
      if (feed.revision === 0) throw new Error('watch caches are not filled')
    },
  }
  const shutdown: Check = {
    name: 'shutdown',
    run: () => {
      if (isStopping()) throw new Error('process is shutting down')
    },
  }
  const hooks = start.names.map((name): Check => ({
    name: bareNames.has(name) ? name : `poststarthook/${name}`,
    run: () => {
      if (!start.isDone(name)) throw new Error('not finished')
    },
  }))
  const checks: Readonly<Record<(typeof endpoints)[number], readonly Check[]>> = {
    '/healthz': [ping, log, store, ...hooks],
    '/livez': [ping, log, store, ...hooks],
    '/readyz': [ping, log, store, storeReady, informers, ...hooks, shutdown],
  }
  const hooked = new Set(hooks)
  const attempt = async (check: Check, signal: AbortSignal): Promise<Error | undefined> => {
    const { name, run } = check
    try {
      await run(signal)
      return undefined
    } catch (error) {
      // A start that goes on is nothing to be warned of.
      logger[hooked.has(check) ? 'debug' : 'warn']({ check: name, err: error }, 'Health check failed')
      return error instanceof Error ? error : new Error(String(error))
    }
  }
  return async (call, { path }) => {
    const endpoint = endpoints.find((candidate) => path === candidate || path.startsWith(`${candidate}/`))
    if (endpoint === undefined) return undefined
    const all = checks[endpoint]
    if (path !== endpoint) {
      const only = all.find(({ name }) => path === `${endpoint}/${name}`)
      if (only === undefined) return undefined
      const error = await attempt(only, call.signal)
      return error === undefined ? text(200, 'ok') : text(500, `internal server error: ${error.message}\n`)
    }
    const excluded = new Set(call.query.getAll('exclude'))
    const unknown = new Set(excluded)
    const lines: string[] = []
    let failures = 0
    for (const check of all) {
      const { name } = check
      unknown.delete(name)
      if (excluded.has(name)) lines.push(`[+]${name} excluded: ok`)
      else if ((await attempt(check, call.signal)) === undefined) lines.push(`[+]${name} ok`)
      else {
        failures++
        // Anybody may ask: why it failed is in the log.
        lines.push(`[-]${name} failed: reason withheld`)
      }
    }
    if (unknown.size > 0) {
      const names = [...unknown].toSorted().map((name) => JSON.stringify(name))
      lines.push(`warn: some health checks cannot be excluded: no matches for ${names.join(',')}`)
    }
    const label = endpoint.slice(1)
    if (failures > 0) return text(500, `${lines.join('\n')}\n${label} check failed\n`)
    return text(200, call.query.has('verbose') ? `${lines.join('\n')}\n${label} check passed\n` : 'ok')
  }
}

function text(code: number, body: string): Answer {
  return {
    type: 'bytes',
    code,
    contentType: 'text/plain; charset=utf-8',
    bytes: body,
    headers: { 'x-content-type-options': 'nosniff' },
  }
}
