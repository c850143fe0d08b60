import { describe, expect, test } from 'vitest'
import { parseLogOptions } from './log-options.ts'
import { parseRequestPath, subresourceOf } from './request-path.ts'
import { resourceMetrics, type Summary } from './stats.ts'

describe('parseRequestPath()', () => {
  test.each([
    ['/healthz', { kind: 'healthz' }, 'healthz'],
    ['/stats/summary', { kind: 'summary' }, 'stats'],
    ['/metrics/resource', { kind: 'resourceMetrics' }, 'metrics'],
    ['/containerLogs/ns/p/c', { kind: 'containerLogs', namespace: 'ns', pod: 'p', container: 'c' }, 'proxy'],
    ['/exec/ns/p/c', { kind: 'exec', namespace: 'ns', pod: 'p', uid: '', container: 'c' }, 'proxy'],
    ['/attach/ns/p/uid/c', { kind: 'attach', namespace: 'ns', pod: 'p', uid: 'uid', container: 'c' }, 'proxy'],
    ['/portForward/ns/p', { kind: 'portForward', namespace: 'ns', pod: 'p', uid: '' }, 'proxy'],
    ['/run/ns/p/c', { kind: 'run', namespace: 'ns', pod: 'p', uid: '', container: 'c' }, 'proxy'],
  ])('%s', (path, expected, subresource) => {
    const request = parseRequestPath(path)
    expect(request).toEqual(expected)
    expect(request === undefined ? undefined : subresourceOf(request)).toBe(subresource)
  })
  test.each(['/', '/logs/', '/exec', '/exec/ns/p', '/containerLogs/ns/p/c/x', '/portForward/a/b/c/d', '/exec/%/p/c'])(
    '%s is not served',
    (path) => {
      expect(parseRequestPath(path)).toBeUndefined()
    },
  )
})

describe('parseLogOptions()', () => {
  const parse = (query: string): object => parseLogOptions(new URLSearchParams(query))
  test('reads what kubectl sends', () => {
    expect(parse('follow=true&tailLines=5&sinceSeconds=3&timestamps=true&limitBytes=10&previous=false&stream=Stderr')).toMatchObject({
      previous: false,
      read: { follow: true, tailLines: 5, sinceSeconds: 3, timestamps: true, limitBytes: 10, stream: 'stderr' },
    })
    expect(parse('sinceTime=2026-01-02T03:04:05Z')).toMatchObject({
      read: { sinceTime: Date.UTC(2026, 0, 2, 3, 4, 5), tailLines: undefined },
    })
  })
  test.each(['tailLines=-1', 'limitBytes=0', 'sinceTime=x', 'sinceSeconds=a'])('%s is refused', (query) => {
    expect(() => parse(query)).toThrow(/^invalid /)
  })
})

test('resourceMetrics() writes what metrics-server reads', () => {
  const time = '1970-01-01T00:00:01.000Z'
  const cpu = { time, usageCoreNanoSeconds: 2_500_000_000 }
  const memory = { time, usageBytes: 2, workingSetBytes: 7, rssBytes: 0, pageFaults: 0, majorPageFaults: 0 }
  const fs = { time, usedBytes: 0 }
  const summary: Summary = {
    node: { nodeName: 'n', startTime: time, cpu, memory, fs, runtime: { imageFs: fs } },
    pods: [
      {
        podRef: { name: 'p', namespace: 'ns', uid: 'u' },
        startTime: time,
        containers: [{ name: 'c', startTime: time, cpu, memory, rootfs: fs, logs: fs }],
        cpu,
        memory,
        'ephemeral-storage': fs,
      },
    ],
  }
  const lines = resourceMetrics(summary).split('\n')
  expect(lines).toContain('container_cpu_usage_seconds_total{container="c",namespace="ns",pod="p"} 2.5 1000')
  expect(lines).toContain('container_start_time_seconds{container="c",namespace="ns",pod="p"} 1 1000')
  expect(lines).toContain('node_memory_working_set_bytes 7 1000')
  expect(lines).toContain('pod_memory_working_set_bytes{namespace="ns",pod="p"} 7 1000')
  expect(lines.at(-1)).toBe('')
})
