import { StatusError } from '@k3s/api'
import { events, nodes, pods, type Pod } from '@k3s/api/types/core/v1'
import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { createClient } from './create-client.ts'
import { createEventRecorder, referenceTo } from './event-recorder.ts'
import { FakeApiServer } from './fake/fake-api-server.ts'

const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'ns', uid: 'u' }, spec: { containers: [] } }

function start(onRequest?: () => void) {
  const server = new FakeApiServer({ onRequest })
  const clock = new FakeClock(1_700_000_000_000)
  const recorder = createEventRecorder(createClient(server), { component: 'test', host: 'n1', clock })
  return { server, clock, recorder, all: () => server.all(events).map(({ reason, message, count }) => [reason, message, count]) }
}

describe('createEventRecorder()', () => {
  it('writes an Event beside its object', async () => {
    const { server, clock, recorder } = start()
    recorder.event(pod, 'Normal', 'Started', 'It started')
    await clock.advance(0)
    expect(server.all(events)).toMatchObject([
      {
        metadata: { namespace: 'ns', name: expect.stringMatching(/^a\.[0-9a-f]+$/) },
        involvedObject: { kind: 'Pod', apiVersion: 'v1', namespace: 'ns', name: 'a', uid: 'u' },
        type: 'Normal',
        reason: 'Started',
        message: 'It started',
        source: { component: 'test', host: 'n1' },
        count: 1,
        firstTimestamp: '2023-11-14T22:13:20Z',
      },
    ])
  })

  it('writes events of cluster-scoped objects to the default namespace', async () => {
    const { server, clock, recorder } = start()
    recorder.event(referenceTo(nodes, { metadata: { name: 'n1' }, spec: {} }), 'Normal', 'Ready', '')
    await clock.advance(0)
    expect(server.all(events)[0]).toMatchObject({ metadata: { namespace: 'default' }, involvedObject: { kind: 'Node', name: 'n1' } })
  })

  it('counts equal events', async () => {
    const { server, clock, recorder, all } = start()
    for (let turn = 0; turn < 3; turn++) {
      recorder.event(pod, 'Warning', 'Failed', 'again')
      await clock.advance(1000)
    }
    expect(all()).toEqual([['Failed', 'again', 3]])
    expect(server.all(events)[0]).toMatchObject({ firstTimestamp: '2023-11-14T22:13:20Z', lastTimestamp: '2023-11-14T22:13:22Z' })
  })

  it('begins anew when the counted event expired', async () => {
    const { server, clock, recorder, all } = start()
    recorder.event(pod, 'Warning', 'Failed', 'again')
    await clock.advance(0)
    for (const { metadata } of server.all(events)) server.remove(events, `ns/${metadata.name}`)
    recorder.event(pod, 'Warning', 'Failed', 'again')
    await clock.advance(0)
    expect(all()).toHaveLength(1)
  })

  it('combines many similar events', async () => {
    const { clock, recorder, all } = start()
    for (let index = 0; index < 12; index++) recorder.event(pod, 'Warning', 'Failed', `try ${index}`)
    await clock.advance(0)
    expect(all()).toHaveLength(10)
    expect(all().at(-1)).toEqual(['Failed', '(combined from similar events): try 11', 3])
  })

  it('drops the flood of one object but not the events of others', async () => {
    const { server, clock, recorder } = start()
    for (let index = 0; index < 100; index++) recorder.event(pod, 'Normal', `Reason${index}`, '')
    recorder.event(referenceTo(pods, { ...pod, metadata: { name: 'b', namespace: 'ns' } }), 'Normal', 'Reason', '')
    await clock.advance(0)
    const names = server.all(events).map(({ involvedObject }) => involvedObject.name)
    expect(names.filter((name) => name === 'a')).toHaveLength(25)
    expect(names.filter((name) => name === 'b')).toHaveLength(1)
  })

  it('waits for a server that is away, drops what one refuses, and never throws', async () => {
    const errors = [new StatusError('ServiceUnavailable', ''), new StatusError('Forbidden', '')]
    const { clock, recorder, all } = start(() => {
      const error = errors.shift()
      if (error !== undefined) throw error
    })
    recorder.event(pod, 'Normal', 'A', '')
    recorder.event(pod, 'Normal', 'B', '')
    await clock.advance(0)
    expect(all()).toEqual([])
    await clock.advance(10_000)
    expect(all()).toEqual([['B', '', 1]])
  })
})
