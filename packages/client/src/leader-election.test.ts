import { StatusError } from '@k3s/api'
import { leases } from '@k3s/api/types/coordination/v1'
import { FakeClock } from '@k3s/lifecycle'
import { afterEach, describe, expect, it } from 'vitest'
import { createClient } from './create-client.ts'
import { FakeApiServer } from './fake/fake-api-server.ts'
import { createLeaderElection } from './leader-election.ts'
import type { ApiTransport } from './transport.ts'

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

function candidate(server: FakeApiServer, clock: FakeClock, identity: string, log: string[]) {
  let down = false
  const transport: ApiTransport = {
    request: (request) => (down ? Promise.reject(new StatusError('ServiceUnavailable', 'down')) : server.request(request)),
    watch: (request) => server.watch(request),
  }
  const stop = new AbortController()
  const service = createLeaderElection({
    client: createClient(transport),
    namespace: 'kube-system',
    name: 'test',
    identity,
    clock,
    random: () => 0.5,
    lead: async (signal) => {
      log.push(`${identity} leads`)
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      log.push(`${identity} stops`)
    },
  })
  const running = service.run({ signal: stop.signal, ready: () => {} })
  const stopNow = async (): Promise<void> => {
    stop.abort()
    await running
  }
  stops.push(stopNow)
  return { stop: stopNow, setDown: (value: boolean) => (down = value) }
}

const scene = () => ({ server: new FakeApiServer(), clock: new FakeClock(1_700_000_000_000), log: [] as string[] })
const lease = (server: FakeApiServer) => server.peek(leases, 'kube-system/test')?.spec

describe('createLeaderElection()', () => {
  it('lets one candidate lead and renews its lease', async () => {
    const { server, clock, log } = scene()
    candidate(server, clock, 'a', log)
    await clock.advance(0)
    candidate(server, clock, 'b', log)
    await clock.advance(60_000)
    expect(log).toEqual(['a leads'])
    expect(lease(server)).toMatchObject({
      holderIdentity: 'a',
      leaseDurationSeconds: 15,
      leaseTransitions: 0,
      acquireTime: '2023-11-14T22:13:20.000000Z',
    })
    expect(Date.parse(lease(server)?.renewTime ?? '')).toBeGreaterThanOrEqual(clock.now() - 2000)
  })

  it('hands over at once when the leader stops', async () => {
    const { server, clock, log } = scene()
    const first = candidate(server, clock, 'a', log)
    await clock.advance(0)
    candidate(server, clock, 'b', log)
    await clock.advance(10_000)
    await first.stop()
    expect(lease(server)?.holderIdentity).toBe('')
    await clock.advance(4000)
    expect(log).toEqual(['a leads', 'a stops', 'b leads'])
    expect(lease(server)?.leaseTransitions).toBe(1)
  })

  it('stops leading before another can, when the server is out of reach', async () => {
    const { server, clock, log } = scene()
    const first = candidate(server, clock, 'a', log)
    await clock.advance(0)
    candidate(server, clock, 'b', log)
    await clock.advance(10_000)
    first.setDown(true)
    await clock.advance(8000)
    expect(log).toEqual(['a leads'])
    for (let second = 0; second < 25; second++) await clock.advance(1000)
    expect(log).toEqual(['a leads', 'a stops', 'b leads'])
    first.setDown(false)
    await clock.advance(30_000)
    expect(log).toEqual(['a leads', 'a stops', 'b leads'])
  })

  it('ends when its work ends by itself', async () => {
    const { server, clock } = scene()
    const service = createLeaderElection({
      client: createClient(server),
      namespace: 'kube-system',
      name: 'test',
      identity: 'a',
      clock,
      lead: () => Promise.reject(new Error('work failed')),
    })
    await expect(service.run({ signal: new AbortController().signal, ready: () => {} })).rejects.toThrow('work failed')
  })
})
