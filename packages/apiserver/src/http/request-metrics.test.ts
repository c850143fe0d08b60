import type { Labels, MetricsRegistry } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { parseRequestInfo } from './request-info.ts'
import { RequestMetrics } from './request-metrics.ts'

function recorded(): { readonly registry: MetricsRegistry; readonly seen: unknown[] } {
  const seen: unknown[] = []
  const note = (name: string) => (value: number, labels: Labels | undefined) => seen.push([name, value, labels])
  return {
    seen,
    registry: {
      counter: ({ name }) => ({ inc: (labels, by = 1) => note(name)(by, labels) }),
      gauge: ({ name }) => ({ set: (value, labels) => note(name)(value, labels) }),
      histogram: ({ name }) => ({ observe: (value, labels) => note(name)(value, labels) }),
    },
  }
}

const infoOf = (method: string, url: string) => parseRequestInfo(method, url.split('?')[0] ?? '', new URLSearchParams(url.split('?')[1]))

describe('RequestMetrics', () => {
  it('counts answers with upstream’s labels', () => {
    const { registry, seen } = recorded()
    const metrics = new RequestMetrics(registry)
    const info = infoOf('GET', '/apis/apps/v1/namespaces/a/deployments')
    metrics.count({ method: 'GET', info, isDryRun: false, code: 200, seconds: 0.1, bytes: 10 })
    const labels = {
      verb: 'LIST',
      group: 'apps',
      version: 'v1',
      resource: 'deployments',
      subresource: '',
      scope: 'namespace',
      component: 'apiserver',
    }
    expect(seen).toEqual([
      ['apiserver_request_total', 1, { ...labels, dry_run: '', code: 200 }],
      ['apiserver_request_duration_seconds', 0.1, { ...labels, dry_run: '' }],
      ['apiserver_response_sizes', 10, labels],
    ])
  })

  it('keeps what clients invent out of the labels', () => {
    const { registry, seen } = recorded()
    new RequestMetrics(registry).count({ method: 'BREW', info: undefined, isDryRun: false, code: 405, seconds: 0, bytes: undefined })
    expect(seen[0]).toMatchObject(['apiserver_request_total', 1, { verb: 'OTHER', resource: '', scope: '' }])
  })

  it('follows open streams', () => {
    const { registry, seen } = recorded()
    const metrics = new RequestMetrics(registry)
    const info = infoOf('GET', '/api/v1/pods?watch=1')
    const ends = [metrics.begin(info), metrics.begin(info)]
    for (const end of ends) end()
    expect(seen.map((one) => (Array.isArray(one) ? one[1] : undefined))).toEqual([1, 2, 1, 0])
    expect(seen[0]).toMatchObject(['apiserver_longrunning_requests', 1, { verb: 'WATCH', resource: 'pods', scope: 'cluster' }])
  })
})
