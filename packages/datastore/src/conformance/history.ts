import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Datastore, KeyValue, TxnOperation } from '../contract.ts'
import { isDatastoreError } from '../errors.ts'
import { bytes, everything, record, show, showEvent, text } from './subject.ts'
import type { DatastoreUnderTest } from './subject.ts'

/** One step of a random history. `offset` is counted back from the newest revision. */
type Step =
  | { readonly type: 'create' | 'update' | 'delete'; readonly key: string }
  | { readonly type: 'updateExpecting' | 'deleteExpecting'; readonly key: string; readonly isRight: boolean }
  | { readonly type: 'txn'; readonly puts: readonly string[]; readonly deletes: readonly string[] }
  | { readonly type: 'compact' | 'watch'; readonly offset: number }

const key = fc.constantFrom('a', 'b', 'c', 'd')
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ type: fc.constantFrom('create', 'update', 'delete'), key }),
  fc.record({ type: fc.constantFrom('updateExpecting', 'deleteExpecting'), key, isRight: fc.boolean() }),
  fc.record({
    type: fc.constant('txn'),
    puts: fc.uniqueArray(fc.constantFrom('a', 'b'), { maxLength: 2 }),
    deletes: fc.uniqueArray(fc.constantFrom('c', 'd')),
  }),
  fc.record({ type: fc.constantFrom('compact', 'watch'), offset: fc.nat(5) }),
)

/** What a datastore should hold, as plainly as it can be written: the states by revision and the events of each. */
class Model {
  revision: number
  compactRevision = 0
  readonly states: Map<number, Map<string, KeyValue>>
  readonly events: { readonly revision: number; readonly shown: string }[] = []

  constructor(revision: number) {
    this.revision = revision
    this.states = new Map([[revision, new Map()]])
  }

  get state(): ReadonlyMap<string, KeyValue> {
    return this.states.get(this.revision) ?? new Map()
  }

  /** Writes puts, then deletes, as one revision, which is taken only if there is a change. */
  write(puts: readonly (readonly [key: string, value: string])[], deletes: readonly string[]): void {
    const gone = deletes.filter((key) => this.state.has(key))
    if (puts.length === 0 && gone.length === 0) return
    const revision = this.revision + 1
    const state = new Map(this.state)
    for (const [key, value] of puts) {
      const before = state.get(key)
      const createRevision = before?.createRevision ?? revision
      state.set(key, {
        key: bytes(key),
        value: bytes(value),
        createRevision,
        modRevision: revision,
        version: (before?.version ?? 0) + 1,
        leaseId: 0n,
      })
      this.events.push({ revision, shown: `${revision} put ${key}=${value}` })
    }
    for (const key of gone) {
      state.delete(key)
      this.events.push({ revision, shown: `${revision} delete ${key}` })
    }
    this.states.set(revision, state)
    this.revision = revision
  }

  shownAt(revision: number): string[] {
    return [...(this.states.get(revision)?.values() ?? [])].map(show).toSorted()
  }
}

const codeOf = async (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => {
      if (!isDatastoreError(error)) throw error
      return error.code
    },
  )

async function perform(store: Datastore, model: Model, step: Step, value: string): Promise<void> {
  switch (step.type) {
    case 'create': {
      const exists = model.state.has(step.key)
      expect(await codeOf(store.create(bytes(step.key), bytes(value)))).toBe(exists ? 'KeyExists' : 'done')
      if (!exists) model.write([[step.key, value]], [])
      return
    }
    case 'update':
      await store.update(bytes(step.key), bytes(value))
      return model.write([[step.key, value]], [])
    case 'delete':
      await store.delete(bytes(step.key))
      return model.write([], [step.key])
    case 'updateExpecting':
    case 'deleteExpecting': {
      const present = model.state.get(step.key)?.modRevision ?? 0
      const options = { expectedRevision: step.isRight ? present : present + 1 }
      const isUpdate = step.type === 'updateExpecting'
      const write = isUpdate ? store.update(bytes(step.key), bytes(value), options) : store.delete(bytes(step.key), options)
      expect(await codeOf(write)).toBe(step.isRight ? 'done' : 'RevisionConflict')
      if (step.isRight) model.write(isUpdate ? [[step.key, value]] : [], isUpdate ? [] : [step.key])
      return
    }
    case 'txn': {
      const success: TxnOperation[] = [
        ...step.puts.map((key): TxnOperation => ({ type: 'put', key: bytes(key), value: bytes(value) })),
        ...step.deletes.map((key): TxnOperation => ({ type: 'delete', range: { start: bytes(key) } })),
      ]
      await store.txn({ compare: [], success, failure: [] })
      return model.write(
        step.puts.map((key) => [key, value]),
        step.deletes,
      )
    }
    case 'compact': {
      const revision = Math.max(1, model.revision - step.offset)
      await store.compact(revision)
      model.compactRevision = Math.max(model.compactRevision, revision)
      return
    }
    case 'watch':
  }
}

export function describeHistory({ create, modelRuns = 25, supports }: DatastoreUnderTest): void {
  const { watchesAtCompaction = true } = supports
  describe('history', () => {
    it('equals, from any point, a list and a watch that follows: any sequence of writes does what the model does', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          await using store = await create({})
          await using stack = new AsyncDisposableStack()
          const model = new Model(await store.currentRevision())
          const watches: { readonly from: number; readonly watch: ReturnType<typeof record> }[] = []
          const watchFrom = async (from: number): Promise<void> => {
            const watch = stack.use(record(store, everything, { fromRevision: from, progressIntervalMs: 10 }))
            watches.push({ from, watch })
            // A compaction that follows at once may overtake a watch that still reads the log.
            if (from <= model.revision) await watch.reaches(model.revision)
          }
          await watchFrom(model.revision + 1)
          for (const [index, step] of steps.entries()) {
            await perform(store, model, step, `${index}`)
            if (step.type === 'watch')
              await watchFrom(Math.max(1, model.compactRevision + (watchesAtCompaction ? 0 : 1), model.revision - step.offset))
            expect(await store.currentRevision()).toBe(model.revision)
          }
          for (let revision = Math.max(1, model.compactRevision); revision <= model.revision; revision++) {
            const { items } = await store.list(everything, { revision })
            expect(items.map(show)).toEqual(model.shownAt(revision))
          }
          // What follows makes every watch move, so that it can be seen that nothing more was delivered.
          const { revision } = await store.update(bytes('end'), bytes('1'))
          for (const { from, watch } of watches) {
            await watch.reaches(revision)
            const expected = model.events.filter((event) => event.revision >= from).map(({ shown }) => shown)
            expect(watch.events().map(showEvent)).toEqual([...expected, `${revision} put end=1`])
          }
        }),
        { numRuns: modelRuns },
      )
    })

    it('holds every answered write exactly once, whatever many clients do at once', async () => {
      await using store = await create({})
      const start = await store.currentRevision()
      await using watch = record(store, everything)
      const answered = new Map<number, string>()
      await Promise.all(
        Array.from({ length: 16 }, async (_, client) => {
          for (let round = 0; round < 40; round++) {
            const key = `${(client * 7 + round * 3) % 5}`
            const value = `${client}.${round}`
            const { item } = await store.get(bytes(key))
            try {
              const expectedRevision = item?.modRevision ?? 0
              const isDelete = round % 4 === 3 && item !== undefined
              const { revision } = isDelete
                ? await store.delete(bytes(key), { expectedRevision })
                : await store.update(bytes(key), bytes(value), { expectedRevision })
              expect(answered.has(revision)).toBe(false)
              answered.set(revision, isDelete ? `${revision} delete ${key}` : `${revision} put ${key}=${value}`)
            } catch (error) {
              if (!isDatastoreError(error) || error.code !== 'RevisionConflict') throw error
            }
          }
        }),
      )
      const last = await store.currentRevision()
      await watch.reaches(last)
      const expected = Array.from({ length: last - start }, (_, index) => answered.get(start + 1 + index))
      expect(watch.events().map(showEvent)).toEqual(expected)
      const state = new Map<string, string>()
      for (const { type, item } of watch.events()) {
        if (type === 'put') state.set(text(item.key), text(item.value))
        else state.delete(text(item.key))
      }
      const { items } = await store.list(everything)
      expect(items.map(({ key, value }) => [text(key), text(value)])).toEqual([...state].toSorted(([a], [b]) => (a < b ? -1 : 1)))
    })
  })
}
