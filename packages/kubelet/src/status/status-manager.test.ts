import { StatusError } from '@k3s/api'
import { pods, type Pod, type PodStatus } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { FakeClock, noLogger } from '@k3s/lifecycle'
import { describe, expect, test, vi } from 'vitest'
import { StatusManager } from './status-manager.ts'

interface Setup extends AsyncDisposable {
  readonly api: FakeApiServer
  readonly clock: FakeClock
  readonly statuses: StatusManager
  readonly pod: Pod
  /** Requests that write, as `METHOD path`. */
  readonly writes: string[]
  fail: boolean
  current(): Pod | undefined
}

const setUp = (metadata: Partial<Pod['metadata']> = {}): Setup => {
  const writes: string[] = []
  const clock = new FakeClock()
  const api = new FakeApiServer({
    onRequest({ method, path }) {
      if (method === 'GET') return
      writes.push(`${method} ${path}`)
      if (setup.fail) throw new StatusError('ServiceUnavailable', 'down')
    },
  })
  const pod = api.put(pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'ns', ...metadata },
    spec: { nodeName: 'n', containers: [{ name: 'c' }] },
  })
  const current = (): Pod | undefined => api.peek(pods, 'ns/p')
  const statuses = new StatusManager({ client: createClient(api), clock, logger: noLogger, apiPodOf: () => current() })
  const stop = new AbortController()
  const ended = statuses.run(stop.signal)
  const setup: Setup = {
    api,
    clock,
    statuses,
    pod,
    writes,
    fail: false,
    current,
    async [Symbol.asyncDispose]() {
      stop.abort()
      await ended
    },
  }
  return setup
}
const running: PodStatus = { phase: 'Running', containerStatuses: [] }

describe('StatusManager', () => {
  test('sends a status once and stays silent while nothing changes', async () => {
    await using setup = setUp()
    setup.statuses.set(setup.pod, running)
    await vi.waitFor(() => expect(setup.current()?.status?.phase).toBe('Running'))
    setup.statuses.set(setup.pod, { ...running })
    setup.statuses.refresh(setup.pod)
    await setup.clock.advance(10_000)
    expect(setup.writes).toEqual(['PATCH /api/v1/namespaces/ns/pods/p/status'])
  })
  test('sends the newest status when the server is back', async () => {
    await using setup = setUp()
    setup.fail = true
    setup.statuses.set(setup.pod, running)
    await vi.waitFor(() => expect(setup.writes).toHaveLength(1))
    setup.statuses.set(setup.pod, { ...running, message: 'newer' })
    await vi.waitFor(() => expect(setup.writes).toHaveLength(2))
    setup.fail = false
    await setup.clock.advance(10_000)
    await vi.waitFor(() => expect(setup.current()?.status).toMatchObject({ phase: 'Running', message: 'newer' }))
  })
  test('repairs what somebody else wrote over', async () => {
    await using setup = setUp()
    setup.statuses.set(setup.pod, running)
    await vi.waitFor(() => expect(setup.current()?.status?.phase).toBe('Running'))
    const meddled = setup.api.put(pods, { ...setup.pod, metadata: { ...setup.pod.metadata }, status: { phase: 'Pending' } })
    setup.statuses.refresh(meddled)
    await vi.waitFor(() => expect(setup.current()?.status?.phase).toBe('Running'))
  })
  test('takes no pod out of its end', async () => {
    await using setup = setUp()
    setup.statuses.set(setup.pod, { phase: 'Failed' })
    setup.statuses.set(setup.pod, running)
    await vi.waitFor(() => expect(setup.current()?.status?.phase).toBe('Failed'))
    expect(setup.statuses.current(setup.pod).phase).toBe('Failed')
  })
  test('deletes a deleted pod when nothing of it is left, and its status was sent', async () => {
    await using setup = setUp({ deletionTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: 30 })
    setup.statuses.set(setup.pod, { phase: 'Succeeded' })
    await vi.waitFor(() => expect(setup.current()?.status?.phase).toBe('Succeeded'))
    expect(setup.current()).toBeDefined()
    setup.statuses.release(setup.pod)
    await vi.waitFor(() => expect(setup.current()).toBeUndefined())
    expect(setup.writes.at(-1)).toBe('DELETE /api/v1/namespaces/ns/pods/p')
  })
  test('leaves another pod of the same name alone', async () => {
    await using setup = setUp()
    const other: Pod = { ...setup.pod, metadata: { ...setup.pod.metadata, uid: 'other' } }
    const statuses = new StatusManager({ client: createClient(setup.api), clock: setup.clock, logger: noLogger, apiPodOf: () => undefined })
    const stop = new AbortController()
    const ended = statuses.run(stop.signal)
    statuses.set(other, running)
    await setup.clock.advance(20_000)
    stop.abort()
    await ended
    expect(setup.writes).toEqual([])
  })
  test('takes a refusal to speak of a pod that is gone for its end', async () => {
    await using setup = setUp()
    let asked = 0
    const api = new FakeApiServer({
      onRequest() {
        asked++
        throw new StatusError('Forbidden', "no relationship found between node 'n' and this object")
      },
    })
    const statuses = new StatusManager({ client: createClient(api), clock: setup.clock, logger: noLogger, apiPodOf: () => undefined })
    const stop = new AbortController()
    const ended = statuses.run(stop.signal)
    statuses.set(setup.pod, running)
    await vi.waitFor(() => expect(asked).toBe(1))
    await setup.clock.advance(60_000)
    stop.abort()
    await ended
    expect(asked).toBe(1)
  })
  test('keeps the conditions of others as the server has them', async () => {
    await using setup = setUp()
    setup.statuses.set(setup.pod, {
      ...running,
      conditions: [
        { type: 'gate', status: 'False' },
        { type: 'Ready', status: 'True' },
      ],
    })
    setup.api.put(pods, { ...setup.pod, metadata: { ...setup.pod.metadata }, status: { conditions: [{ type: 'gate', status: 'True' }] } })
    expect(setup.statuses.current(setup.pod).conditions).toEqual([
      { type: 'Ready', status: 'True' },
      { type: 'gate', status: 'True' },
    ])
  })
})
