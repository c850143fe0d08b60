import { FakeClock, type Labels, type MetricsRegistry } from '@k3s/lifecycle'
import { StatusError } from '@k3s/api'
import { expect, it } from 'vitest'
import { CallError, endOf } from './call-error.ts'
import { WebhookMetrics } from './webhook-metrics.ts'

it('counts calls under upstream’s names', () => {
  const seen: [string, Labels | undefined][] = []
  const registry: MetricsRegistry = {
    counter: ({ name }) => ({ inc: (labels) => void seen.push([name.replace('apiserver_admission_webhook_', ''), labels]) }),
    gauge: () => ({ set() {} }),
    histogram: () => ({ observe() {} }),
  }
  const metrics = new WebhookMetrics(registry, new FakeClock())
  const call = (error?: unknown, policy = 'Fail'): void =>
    metrics.start('w', 'admit', 'CREATE')(error === undefined ? { kind: 'allowed' } : endOf(error, policy))
  call()
  call(new StatusError('', 'no', { code: 1000 }))
  call(new CallError('w', 'gone'))
  call(new CallError('w', 'gone'), 'Ignore')
  call(new Error('a bug'))
  const head = { name: 'w', type: 'admit', operation: 'CREATE' }
  expect(seen).toEqual([
    ['request_total', { ...head, code: 200, rejected: 'false' }],
    ['request_total', { ...head, code: 600, rejected: 'true' }],
    ['rejection_count', { ...head, error_type: 'no_error', rejection_code: 600 }],
    ['request_total', { ...head, code: 503, rejected: 'true' }],
    ['rejection_count', { ...head, error_type: 'calling_webhook_error', rejection_code: 503 }],
    ['request_total', { ...head, code: 503, rejected: 'false' }],
    ['fail_open_count', { name: 'w', type: 'admit' }],
    ['request_total', { ...head, code: 0, rejected: 'true' }],
    ['rejection_count', { ...head, error_type: 'apiserver_internal_error', rejection_code: 0 }],
  ])
})
