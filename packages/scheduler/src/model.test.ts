import { nodes, pods, type Node, type Pod } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { StatusError } from '@k3s/api'
import { FakeClock, runAll } from '@k3s/lifecycle'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { createScheduler } from './scheduler.ts'

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('addPods' as const),
      pods: fc.array(fc.record({ cpu: fc.constantFrom(100, 300, 700, 1000), priority: fc.nat(2) }), { minLength: 1, maxLength: 6 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('removePod' as const), index: fc.nat(8) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('addNode' as const), cpu: fc.constantFrom(500, 1000, 2000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('removeNode' as const), index: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('failBindings' as const), count: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('holdBindings' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('endPods' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 500, 3000) }) },
)

const node = (name: string, milliCpu: number): Node => ({
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  spec: {},
  status: { allocatable: { cpu: `${milliCpu}m`, memory: '8Gi', pods: '5' } },
})
const pod = (name: string, milliCpu: number, priority: number): Pod => ({
  metadata: { name, namespace: 'default' },
  spec: {
    priority,
    containers: [{ name: 'c', resources: { requests: { cpu: `${milliCpu}m` } } }],
    terminationGracePeriodSeconds: priority === 0 ? 30 : 0,
  },
})
const milli = ({ spec }: Pod): number => Number(spec.containers[0]?.resources?.requests?.['cpu']?.replace('m', ''))

it('never puts more on a node than it has, and in the end leaves no pod waiting that fits', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
      async (steps, chance) => {
        let failures = 0
        /** While it is pending, bindings wait: others are scheduled meanwhile. */
        let gate = Promise.resolve()
        let release = (): void => {}
        const clock = new FakeClock()
        const server = new FakeApiServer({
          clock,
          onRequest: async ({ path }) => {
            if (!path.endsWith('/binding')) return
            await gate
            if (failures-- > 0) throw new StatusError('InternalError', 'out of luck')
          },
        })
        const client = createClient(server)
        const informers = createInformerFactory(client, { clock })
        const random = (): number => chance.next().value ?? 0
        const stop = new AbortController()
        const ready = Promise.withResolvers<void>()
        const running = runAll([informers, createScheduler({ client, informers, clock, random })], stop.signal, ready.resolve)
        await ready.promise
        /** Free millicores and places of a node, from what the API server holds. */
        const free = ({ metadata, status }: Node) => {
          const placed = server.all(pods).filter(({ spec }) => spec.nodeName === metadata.name)
          const cpu = Number(status?.allocatable?.['cpu']?.replace('m', '')) - placed.reduce((sum, other) => sum + milli(other), 0)
          return { cpu, places: 5 - placed.length }
        }
        /** What kubelets do with deleted pods. */
        const endPods = (): void => {
          for (const { metadata } of server.all(pods))
            if (metadata.deletionTimestamp !== undefined) server.remove(pods, `default/${metadata.name}`)
        }
        const check = (): void => {
          for (const known of server.all(nodes)) {
            expect(free(known).cpu).toBeGreaterThanOrEqual(0)
            expect(free(known).places).toBeGreaterThanOrEqual(0)
          }
        }
        let count = 0
        for (const action of steps) {
          count++
          if (action.do === 'addPods')
            await Promise.all(
              action.pods.map(({ cpu, priority }, index) => client.resource(pods).create(pod(`p${count}-${index}`, cpu, priority))),
            )
          else if (action.do === 'addNode') server.put(nodes, node(`n${count}`, action.cpu))
          else if (action.do === 'failBindings') failures = action.count
          else if (action.do === 'endPods') endPods()
          else if (action.do === 'holdBindings') {
            release()
            const held = Promise.withResolvers<void>()
            gate = held.promise
            release = held.resolve
          } else if (action.do === 'wait') await clock.advance(action.ms)
          else if (action.do === 'removePod') {
            const victim = server.all(pods)[action.index]
            if (victim !== undefined) server.remove(pods, `default/${victim.metadata.name}`)
          } else {
            // Its pods go with it, as the pod garbage collector sees to.
            const gone = server.all(nodes)[action.index]
            if (gone === undefined) continue
            server.remove(nodes, gone.metadata.name)
            for (const { metadata, spec } of server.all(pods))
              if (spec.nodeName === gone.metadata.name) server.remove(pods, `default/${metadata.name}`)
          }
          check()
        }
        failures = 0
        release()
        // Less than the five minutes after which everything is tried again.
        for (let round = 0; round < 20; round++) {
          await clock.advance(5000)
          endPods()
          check()
        }
        for (const waiting of server.all(pods).filter(({ spec }) => !spec.nodeName))
          for (const known of server.all(nodes)) expect(free(known).cpu < milli(waiting) || free(known).places === 0).toBe(true)
        stop.abort()
        await running
      },
    ),
    { numRuns: 100 },
  )
})
