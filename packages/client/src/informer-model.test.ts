import { StatusError } from '@k3s/api'
import { configmaps, type ConfigMap } from '@k3s/api/types/core/v1'
import { FakeClock } from '@k3s/lifecycle'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { createClient } from './create-client.ts'
import { FakeApiServer } from './fake/fake-api-server.ts'
import { createInformerFactory } from './informer.ts'

const name = fc.constantFrom('a', 'b', 'c', 'd')
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), name, value: fc.nat(3), isSelected: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), name }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('endWatches' as const), reason: fc.constantFrom(undefined, 'ServiceUnavailable', 'Expired') }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('failRequests' as const),
      count: fc.nat(3),
      reason: fc.constantFrom('ServiceUnavailable', 'Forbidden', 'Expired'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('compact' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('bookmark' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('addHandler' as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(0, 200, 5000) }) },
)

/** What a handler believes is there, and its objections to calls that do not fit what it was told before. */
class Believer {
  readonly objects = new Map<string, string>()
  readonly objections: string[] = []
  readonly add = ({ metadata }: ConfigMap): void => {
    if (this.objects.has(metadata.name)) this.objections.push(`${metadata.name} was added twice`)
    this.objects.set(metadata.name, metadata.resourceVersion ?? '')
  }
  readonly update = (previous: ConfigMap, { metadata }: ConfigMap): void => {
    if (this.objects.get(metadata.name) !== previous.metadata.resourceVersion) this.objections.push(`${metadata.name} was another before`)
    if (metadata.resourceVersion === previous.metadata.resourceVersion) this.objections.push(`${metadata.name} did not change`)
    this.objects.set(metadata.name, metadata.resourceVersion ?? '')
  }
  readonly delete = ({ metadata }: ConfigMap): void => {
    if (!this.objects.delete(metadata.name)) this.objections.push(`${metadata.name} was not there`)
  }
}

it.each([{ watchList: true }, { watchList: false }])(
  'tells every handler of every object, each change once, whatever the server does, with $watchList WatchList',
  async ({ watchList }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = new FakeClock()
        let failures = { count: 0, reason: 'ServiceUnavailable' as 'ServiceUnavailable' | 'Forbidden' | 'Expired' }
        const server = new FakeApiServer({
          clock,
          watchList,
          maxPageItems: 2,
          onRequest: () => {
            if (failures.count-- > 0) throw new StatusError(failures.reason, 'injected')
          },
        })
        const factory = createInformerFactory(createClient(server), { clock, random: () => 0.5 })
        const informer = factory.informer(configmaps, { labelSelector: 'x' })
        informer.addIndex('value', ({ data }) => [data?.['value'] ?? ''])
        const believers: Believer[] = []
        const believe = (): void => {
          const believer = new Believer()
          believers.push(believer)
          informer.addHandler(believer)
        }
        believe()
        const stop = new AbortController()
        const running = factory.run({ signal: stop.signal, ready: () => {} })
        running.catch(() => {})
        for (const action of steps) {
          if (action.do === 'put') {
            const labels = action.isSelected ? { x: '' } : {}
            server.put(configmaps, { metadata: { name: action.name, namespace: 'default', labels }, data: { value: String(action.value) } })
          } else if (action.do === 'remove') server.remove(configmaps, `default/${action.name}`)
          else if (action.do === 'endWatches')
            server.endWatches(action.reason === undefined ? undefined : new StatusError(action.reason, 'injected'))
          else if (action.do === 'failRequests') failures = { count: action.count, reason: action.reason }
          else if (action.do === 'compact') server.compact()
          else if (action.do === 'bookmark') server.sendBookmarks()
          else if (action.do === 'addHandler') believe()
          else await clock.advance(action.ms)
        }
        failures.count = 0
        for (let round = 0; round < 5; round++) await clock.advance(60_000)
        const selected = server.all(configmaps).filter(({ metadata }) => metadata.labels?.['x'] !== undefined)
        const truth = new Map(selected.map(({ metadata }) => [metadata.name, metadata.resourceVersion ?? '']))
        for (const { objects, objections } of believers) expect({ objects, objections }).toEqual({ objects: truth, objections: [] })
        expect(new Map(informer.lister.list().map(({ metadata }) => [metadata.name, metadata.resourceVersion ?? '']))).toEqual(truth)
        for (const value of ['0', '1', '2', '3']) {
          const expected = selected.filter(({ data }) => data?.['value'] === value).map(({ metadata }) => metadata.name)
          expect(
            informer.lister
              .byIndex('value', value)
              .map(({ metadata }) => metadata.name)
              .toSorted(),
          ).toEqual(expected.toSorted())
        }
        stop.abort()
        await running
      }),
      { numRuns: 100 },
    )
  },
)
