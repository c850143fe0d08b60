import { METHODS } from 'node:http'
import type { Counter, Gauge, Histogram, MetricsRegistry } from '@k3s/lifecycle'
import type { RequestInfo } from './request-info.ts'

// Upstream's buckets, in seconds and in bytes.
const durationBuckets = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60]
const sizeBuckets = [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]
const scopeLabels = ['group', 'version', 'resource', 'subresource', 'scope', 'component'] as const

type ScopeLabels = Readonly<Record<(typeof scopeLabels)[number] | 'verb', string>>

/** A request that was answered. */
export interface CountedRequest {
  readonly method: string | undefined
  /** Absent when it was refused: its path may be anything, and is not counted. */
  readonly info: RequestInfo | undefined
  readonly isDryRun: boolean
  readonly code: number
  readonly seconds: number
  /** Undefined for streams. */
  readonly bytes: number | undefined
}

/** The metrics `apiserver_request_*` and their like, with upstream's names and labels. */
export class RequestMetrics {
  readonly #total: Counter
  readonly #durations: Histogram
  readonly #sizes: Histogram
  readonly #longRunning: Gauge
  readonly #streams = new Map<string, number>()

  constructor(metrics: MetricsRegistry) {
    this.#total = metrics.counter({
      name: 'apiserver_request_total',
      help: 'Requests that were answered',
      labels: ['verb', 'dry_run', ...scopeLabels, 'code'],
    })
    this.#durations = metrics.histogram({
      name: 'apiserver_request_duration_seconds',
      help: 'Time from the arrival of a request to the end of its answer, in seconds',
      labels: ['verb', 'dry_run', ...scopeLabels],
      buckets: durationBuckets,
    })
    this.#sizes = metrics.histogram({
      name: 'apiserver_response_sizes',
      help: 'Length of answers in bytes',
      labels: ['verb', ...scopeLabels],
      buckets: sizeBuckets,
    })
    this.#longRunning = metrics.gauge({
      name: 'apiserver_longrunning_requests',
      help: 'Watches and other requests without an end that are open',
      labels: ['verb', ...scopeLabels],
    })
  }

  count({ method, info, isDryRun, code, seconds, bytes }: CountedRequest): void {
    // What was refused is counted by its method, of which HTTP/2 lets clients invent as many as they like.
    const verb = info === undefined ? (METHODS.includes(method ?? '') ? (method ?? '') : 'other') : info.verb
    const labels = labelsOf(verb, info)
    const dryRun = isDryRun ? 'All' : ''
    this.#total.inc({ ...labels, dry_run: dryRun, code })
    if (verb === 'watch') return
    this.#durations.observe(seconds, { ...labels, dry_run: dryRun })
    if (bytes !== undefined) this.#sizes.observe(bytes, labels)
  }

  /** A stream begins; the result ends it and may be called once. */
  begin(info: RequestInfo): () => void {
    const labels = labelsOf(info.verb, info)
    const key = Object.values(labels).join(' ')
    const add = (by: number): void => {
      const open = (this.#streams.get(key) ?? 0) + by
      if (open === 0) this.#streams.delete(key)
      else this.#streams.set(key, open)
      this.#longRunning.set(open, labels)
    }
    add(1)
    return () => add(-1)
  }
}

function labelsOf(verb: string, info: RequestInfo | undefined): ScopeLabels {
  return {
    verb: verb.toUpperCase(),
    group: info?.group ?? '',
    version: info?.version ?? '',
    resource: info?.resource ?? '',
    subresource: info?.subresource ?? '',
    scope: scopeOf(info),
    component: 'apiserver',
  }
}

function scopeOf(info: RequestInfo | undefined): string {
  if (info?.isResource !== true) return ''
  if (info.name !== '' || info.verb === 'create') return 'resource'
  return info.namespace === '' ? 'cluster' : 'namespace'
}
