import type { ApiCore } from '../pipeline/api-core.ts'
import type { NonResourceHandler } from '../pipeline/handle-call.ts'

interface Check {
  readonly name: string
  /** Throws when it fails. */
  run(signal: AbortSignal): Promise<void> | void
}

// A datastore that does not answer for this long makes the server unready.
const datastoreTimeoutMs = 2000

const endpoints = ['/healthz', '/livez', '/readyz']

/** `/healthz`, `/livez` and `/readyz`, with `?verbose`, `?exclude=NAME` and one path for each check. */
export function healthHandler({ datastore, feed, logger }: ApiCore, isStopping: () => boolean): NonResourceHandler {
  const ping: Check = { name: 'ping', run: () => {} }
  const store: Check = {
    name: 'etcd',
    run: async (signal) =>
      void (await datastore.currentRevision({ signal: AbortSignal.any([signal, AbortSignal.timeout(datastoreTimeoutMs)]) })),
  }
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
  const checks: Readonly<Record<string, readonly Check[]>> = {
    '/healthz': [ping, store],
    '/livez': [ping, store],
    '/readyz': [ping, store, informers, shutdown],
  }
  return async (call, { path }) => {
    const endpoint = endpoints.find((candidate) => path === candidate || path.startsWith(`${candidate}/`))
    if (endpoint === undefined) return undefined
    const all = checks[endpoint] ?? []
    const only = path.slice(endpoint.length + 1)
    const excluded = new Set(call.query.getAll('exclude'))
    const wanted = only === '' ? all : all.filter(({ name }) => name === only)
    if (wanted.length === 0) return undefined
    const lines: string[] = []
    let failures = 0
    for (const check of wanted) {
      if (excluded.has(check.name)) {
        lines.push(`[+]${check.name} excluded: ok`)
        continue
      }
      try {
        await check.run(call.signal)
        lines.push(`[+]${check.name} ok`)
      } catch (error) {
        failures++
        logger.warn({ check: check.name, err: error }, 'Health check failed')
        lines.push(`[-]${check.name} failed: reason withheld`)
      }
    }
    const label = endpoint.slice(1)
    if (failures > 0) return text(500, `${lines.join('\n')}\n${label} check failed\n`)
    return text(200, call.query.has('verbose') && only === '' ? `${lines.join('\n')}\n${label} check passed\n` : 'ok')
  }
}

function text(code: number, body: string) {
  return {
    type: 'bytes',
    code,
    contentType: 'text/plain; charset=utf-8',
    bytes: body,
    headers: { 'x-content-type-options': 'nosniff' },
  } as const
}
