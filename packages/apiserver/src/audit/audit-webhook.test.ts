import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it, vi } from 'vitest'
import type { RemoteHook } from '../remote-hooks/remote-hook.ts'
import { AuditWebhook, defaultAuditBatches, type AuditBatches } from './audit-webhook.ts'
import { legacyFormat } from './legacy-format.ts'

interface Sent {
  readonly kind: string
  readonly items: readonly number[]
}

function start(batches: Partial<AuditBatches>, answer: (attempt: number) => Promise<unknown> = () => Promise.resolve(undefined)) {
  const clock = new FakeClock()
  const sent: Sent[] = []
  const lost: { readonly plugin: string; readonly count: number }[] = []
  const hook: RemoteHook = {
    post: (body) => {
      sent.push(JSON.parse(String(body)) as Sent) // what the sink makes
      return answer(sent.length)
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  const none = { set() {}, observe() {} }
  const metrics = {
    counter: () => ({ inc: (labels = {}, count = 1) => void lost.push({ plugin: String(labels['plugin' as never]), count }) }),
    gauge: () => none,
    histogram: () => none,
  }
  const sink = new AuditWebhook({ hook, batches: { ...defaultAuditBatches, ...batches }, clock, random: () => 0, metrics })
  return { clock, sent, lost, sink }
}

const settle = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 5000, interval: 2 })

describe('AuditWebhook', () => {
  it('sends what is there when a batch is full or its time is up', async () => {
    const { sink, sent, clock } = start({ maxSize: 2, maxWaitMs: 1000 })
    for (const event of ['1', '2', '3']) expect(sink.write(event)).toBe(true)
    await settle(() => expect(sent).toHaveLength(1))
    expect(sent[0]).toEqual({ kind: 'EventList', apiVersion: 'audit.k8s.io/v1', metadata: {}, items: [1, 2] })
    await settle(() => expect(clock.sleeping).toBe(1))
    await clock.advance(1000)
    await settle(() => expect(sent[1]?.items).toEqual([3]))
  })

  it('drops what finds its buffer full, and sends the rest when it is closed', async () => {
    const { sink, sent } = start({ bufferSize: 2, maxSize: 100 })
    expect(['1', '2', '3'].map((event) => sink.write(event))).toEqual([true, true, false])
    await sink[Symbol.asyncDispose]()
    expect(sent.map(({ items }) => items)).toEqual([[1, 2]])
    expect(sink.write('4')).toBe(false)
  })

  it('tries four times more, each time later, and counts what is lost', async () => {
    const { sink, sent, lost, clock } = start({ maxSize: 2 }, () => Promise.reject(new Error('down')))
    sink.write('1')
    sink.write('2')
    for (const [attempt, delay] of [10_000, 15_000, 22_500, 33_750].entries()) {
      await settle(() => expect([sent.length, clock.sleeping]).toEqual([attempt + 1, 2]))
      await clock.advance(delay - 1)
      expect(sent).toHaveLength(attempt + 1)
      await clock.advance(1)
    }
    await settle(() => expect(lost).toEqual([{ plugin: 'webhook', count: 2 }]))
    expect(sent).toHaveLength(5)
  })

  it('sends no more requests in a second than it may', async () => {
    const { sink, sent, clock } = start({ maxSize: 1, throttle: { perSecond: 2, burst: 2 } })
    for (const event of ['1', '2', '3', '4']) sink.write(event)
    await settle(() => expect([sent.length, clock.sleeping]).toEqual([2, 1]))
    await clock.advance(500)
    await settle(() => expect([sent.length, clock.sleeping]).toEqual([3, 1]))
    await clock.advance(500)
    await settle(() => expect(sent).toHaveLength(4))
  })
})

describe('legacyFormat()', () => {
  it('writes a line of text for each event', async () => {
    const lines: string[] = []
    const sink = legacyFormat({ write: (line) => lines.push(line) > 0 })
    await sink.write(
      JSON.stringify({
        auditID: 'a',
        stage: 'ResponseComplete',
        verb: 'list',
        requestURI: '/api/v1/pods?limit=1',
        requestReceivedTimestamp: '2026-01-01T00:00:00.000000Z',
        userAgent: 'kubectl',
        sourceIPs: ['192.0.2.1'],
        user: { username: 'jane', groups: ['dev', 'ops'] },
        impersonatedUser: { username: 'ada' },
        objectRef: { resource: 'pods' },
        responseStatus: { code: 200 },
      }),
    )
    expect(lines).toEqual([
      '2026-01-01T00:00:00.000000Z AUDIT: id="a" stage="ResponseComplete" ip="192.0.2.1" method="list" user="jane" groups="\\"dev\\",\\"ops\\"" as="ada" asgroups="<lookup>" user-agent="kubectl" namespace="<none>" uri="/api/v1/pods?limit=1" response="200"',
    ])
  })
})
