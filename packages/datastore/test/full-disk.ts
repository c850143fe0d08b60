/** A process for the test of a full disk: fills FOLDER, checks what is promised, and makes room again. Usage: full-disk.ts FOLDER, which has a file `ballast` */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { openDatastore } from '@k3s/datastore'

const folder = process.argv[2] ?? ''
const dsn = `sqlite://${join(folder, 'x.db')}`
const all = { start: Uint8Array.of(0), end: new Uint8Array(0) }
const value = new Uint8Array(50_000)
const answered = new Set<number>()
let refused = 0
{
  await using store = await openDatastore(dsn)
  for (let index = 0; refused < 50; index++) {
    for (const result of await Promise.allSettled(
      ['a', 'b', 'c', 'd'].map((name) => store.create(Buffer.from(`${index}${name}`), value)),
    )) {
      if (result.status === 'fulfilled') answered.add(result.value.revision)
      else {
        assert.equal(result.reason.code, 'NoSpace')
        refused++
      }
    }
  }
  const { items } = await store.list(all, { keysOnly: true })
  assert.deepEqual(new Set(items.map(({ modRevision }) => modRevision)), answered)
  rmSync(join(folder, 'ballast'))
  answered.add((await store.create(Buffer.from('again'), value)).revision)
}
await using store = await openDatastore(dsn)
assert.equal((await store.list(all, { countOnly: true })).count, answered.size)
