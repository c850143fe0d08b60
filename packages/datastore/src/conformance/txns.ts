import { describe, expect, it } from 'vitest'
import type { Compare, Txn, TxnOperation } from '../contract.ts'
import { bytes, everything, expectCode, prefix, record, showEvent, text } from './subject.ts'
import type { DatastoreUnderTest } from './subject.ts'

const put = (key: string, value: string): TxnOperation => ({ type: 'put', key: bytes(key), value: bytes(value) })
const remove = (key: string): TxnOperation => ({ type: 'delete', range: { start: bytes(key) }, previous: true })
const compare = (key: string, target: Compare['target'], result: Compare['result'], operand: Compare['operand']): Compare => ({
  range: { start: bytes(key) },
  target,
  result,
  operand,
})
const always = (...success: TxnOperation[]): Txn => ({ compare: [], success, failure: [] })

export function describeTxns({ create }: DatastoreUnderTest): void {
  describe('txns', () => {
    it('all writes of a txn share one revision and are ordered within it', async () => {
      await using store = await create({})
      await store.create(bytes('old'), bytes('0'))
      await using watch = record(store, everything)
      const { revision, succeeded } = await store.txn(always(put('b', '1'), put('a', '2'), remove('old')))
      expect(succeeded).toBe(true)
      await watch.reaches(revision)
      expect(watch.events().map(showEvent)).toEqual([`${revision} put b=1`, `${revision} put a=2`, `${revision} delete old`])
      expect(watch.batches).toHaveLength(1)
      expect((await store.list(everything)).items.map(({ modRevision }) => modRevision)).toEqual([revision, revision])
      expect((await store.list(everything, { revision: revision - 1 })).items.map(({ key }) => text(key))).toEqual(['old'])
    })

    it('comparisons of every target choose the branch', async () => {
      await using store = await create({})
      const { revision } = await store.create(bytes('a'), bytes('m'))
      await store.update(bytes('a'), bytes('m'))
      const { id } = await store.grantLease({ ttlSeconds: 1000 })
      await store.create(bytes('leased'), bytes('1'), { leaseId: id })
      const cases: readonly (readonly [Compare, boolean])[] = [
        [compare('a', 'createRevision', 'equal', revision), true],
        [compare('a', 'modRevision', 'equal', revision), false],
        [compare('a', 'modRevision', 'greater', revision), true],
        [compare('a', 'version', 'less', 3), true],
        [compare('a', 'version', 'notEqual', 2), false],
        [compare('a', 'value', 'equal', bytes('m')), true],
        [compare('a', 'value', 'greater', bytes('ma')), false],
        [compare('leased', 'lease', 'equal', id), true],
        [compare('a', 'lease', 'equal', 0n), true],
        [compare('none', 'createRevision', 'equal', 0), true],
        [compare('none', 'version', 'greater', 0), false],
        [compare('none', 'value', 'notEqual', bytes('m')), false],
        [{ range: everything, target: 'createRevision', result: 'greater', operand: 0 }, true],
        [{ range: everything, target: 'version', result: 'equal', operand: 2 }, false],
      ]
      for (const [condition, expected] of cases) {
        const { succeeded, results } = await store.txn({ compare: [condition], success: [], failure: [remove('none')] })
        expect([condition, succeeded, results.length]).toEqual([condition, expected, expected ? 0 : 1])
      }
    })

    it('a txn reads its own writes, and one that writes nothing takes no revision', async () => {
      await using store = await create({})
      const { revision } = await store.create(bytes('k/a'), bytes('1'))
      const list: TxnOperation = { type: 'list', range: prefix('k/') }
      const reading = await store.txn(always(list, remove('missing')))
      expect(reading).toMatchObject({ revision, results: [{ result: { revision, count: 1 } }, { deleted: 0 }] })
      const writing = await store.txn(always(put('k/b', '2'), list, { type: 'list', range: prefix('k/'), options: { revision } }))
      expect(writing.revision).toBe(revision + 1)
      expect(writing.results).toMatchObject([{}, { result: { revision: revision + 1, count: 2 } }, { result: { count: 1 } }])
    })

    it('a delete of a range tells how many keys it deleted and what they held', async () => {
      await using store = await create({})
      for (const key of ['k/a', 'k/b', 'l']) await store.create(bytes(key), bytes(key))
      const { results } = await store.txn(always({ type: 'delete', range: prefix('k/'), previous: true }))
      expect(results).toMatchObject([{ deleted: 2, previous: [{ value: bytes('k/a') }, { value: bytes('k/b') }] }])
      expect((await store.list(everything)).count).toBe(1)
    })

    it('nested txns compare with the state before the whole txn', async () => {
      await using store = await create({})
      const nested: TxnOperation = {
        type: 'txn',
        txn: { compare: [compare('a', 'version', 'equal', 0)], success: [put('b', 'absent')], failure: [put('b', 'present')] },
      }
      const { results, revision } = await store.txn(always(put('a', '1'), nested))
      expect(results).toMatchObject([{ type: 'put' }, { type: 'txn', result: { succeeded: true, revision } }])
      expect(text((await store.get(bytes('b'))).item?.value ?? bytes(''))).toBe('absent')
    })

    it('a put keeps the value or the lease when asked to, and tells the previous version', async () => {
      await using store = await create({})
      const { id } = await store.grantLease({ ttlSeconds: 1000 })
      await store.create(bytes('a'), bytes('1'), { leaseId: id })
      const key = bytes('a')
      await store.txn(always({ type: 'put', key, value: bytes('2'), keepLease: true }))
      expect((await store.get(key)).item).toMatchObject({ value: bytes('2'), leaseId: id })
      const { results } = await store.txn(always({ type: 'put', key, value: bytes(''), keepValue: true, previous: true }))
      expect(results).toMatchObject([{ previous: { value: bytes('2'), leaseId: id } }])
      expect((await store.get(key)).item).toMatchObject({ value: bytes('2'), leaseId: 0n, version: 3 })
      await expectCode(store.txn(always({ type: 'put', key: bytes('none'), value: bytes(''), keepValue: true })), 'InvalidArgument')
    })

    it('a refused txn changes nothing', async () => {
      await using store = await create({})
      const before = await store.currentRevision()
      await expectCode(store.txn(always(put('a', '1'), put('a', '2'))), 'InvalidArgument')
      await expectCode(store.txn(always(put('a', '1'), remove('a'))), 'InvalidArgument')
      await expectCode(store.txn(always(put('a', '1'), { type: 'txn', txn: always(put('a', '2')) })), 'InvalidArgument')
      await expectCode(store.txn(always(put('a', '1'), { type: 'put', key: bytes('b'), value: bytes('2'), leaseId: 99n })), 'LeaseNotFound')
      await expectCode(
        store.txn(always(put('a', '1'), { type: 'list', range: everything, options: { revision: before + 9 } })),
        'FutureRevision',
      )
      const tooMany = Array.from({ length: 129 }, (_, index) => put(`key-${index}`, '1'))
      await expectCode(store.txn(always(...tooMany)), 'TooLarge')
      expect(await store.list(everything)).toMatchObject({ revision: before, count: 0 })
    })
  })
}
