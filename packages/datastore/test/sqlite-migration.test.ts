import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatastore, prefixRange } from '@k3s/datastore'
import Database from 'better-sqlite3'
import { afterAll, expect, it } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'datastore-migration-'))
afterAll(() => rmSync(directory, { recursive: true }))

const text = (value: Uint8Array): string => Buffer.from(value).toString()

/** A file as version 1 wrote it: b and c were written by one txn, a was deleted and made anew, c was deleted last; compacted at 3. */
const version1 = `
  pragma auto_vacuum = incremental; pragma journal_mode = wal;
  create table log (id integer primary key, revision integer not null, previous integer not null, created integer not null,
    version integer not null, lease text, key blob not null, value blob not null);
  create index log_revision on log (revision, key, previous);
  create table live (key blob primary key, id integer not null, revision integer not null, created integer not null,
    version integer not null, lease text) without rowid;
  create index live_lease on live (lease) where lease is not null;
  create table lease (id text primary key, ttl real not null, deadline integer not null) without rowid;
  create index lease_deadline on lease (deadline);
  create table state (revision integer not null, compact_revision integer not null, compacted_id integer not null,
    last_id integer not null, batch text not null);
  insert into log values
    (1, 2, 0, 2, 1, null, cast('a' as blob), cast('a2' as blob)),
    (2, 3, 0, 3, 1, null, cast('b' as blob), cast('b3' as blob)),
    (3, 3, 0, 3, 1, '7', cast('c' as blob), cast('c3' as blob)),
    (4, 4, 1, 0, 0, null, cast('a' as blob), x''),
    (5, 5, 2, 3, 2, null, cast('b' as blob), cast('b5' as blob)),
    (6, 6, 0, 6, 1, null, cast('a' as blob), cast('a6' as blob)),
    (7, 7, 3, 0, 0, null, cast('c' as blob), x'');
  insert into live values (cast('a' as blob), 6, 6, 6, 1, null), (cast('b' as blob), 5, 5, 3, 2, null);
  insert into lease values ('7', 9000000000, 99999999999999);
  insert into state values (7, 3, 1, 7, 'batch');
  pragma application_id = 0x6b337364; pragma user_version = 1;
`

it('a file of version 1 is brought to the present version, with its revisions, history and leases, and serves on', async () => {
  const path = join(directory, 'version-1.db')
  const file = new Database(path)
  file.exec(version1)
  file.close()
  {
    await using store = await openDatastore(`sqlite://${path}`)
    expect(await store.currentRevision()).toBe(7)
    expect(await store.listLeases()).toEqual([7n])
    const at = async (revision: number): Promise<readonly string[]> => {
      const { items, count } = await store.list(prefixRange(new Uint8Array()), { revision })
      expect(count).toBe(items.length)
      return items.map(({ value }) => text(value))
    }
    expect(await at(3)).toEqual(['a2', 'b3', 'c3'])
    expect(await at(4)).toEqual(['b3', 'c3'])
    expect(await at(6)).toEqual(['a6', 'b5', 'c3'])
    expect(await at(7)).toEqual(['a6', 'b5'])
    await expect(at(2)).rejects.toMatchObject({ code: 'Compacted' })
    expect((await store.update(Buffer.from('b'), Buffer.from('b8'), { expectedRevision: 5 })).revision).toBe(8)
    const types: string[] = []
    for await (const { events, revision } of store.watch(prefixRange(new Uint8Array()), { fromRevision: 3, previous: true })) {
      types.push(
        ...events.map(
          ({ type, item, previous }) => `${type} ${text(item.key)}${item.modRevision} ${text(previous?.value ?? new Uint8Array())}`,
        ),
      )
      if (revision === 8) break
    }
    expect(types).toEqual(['put b3 ', 'put c3 ', 'delete a4 a2', 'put b5 b3', 'put a6 ', 'delete c7 c3', 'put b8 b5'])
  }
  const after = new Database(path, { readonly: true })
  expect(after.pragma('user_version', { simple: true })).toBe(2)
  expect(after.prepare("select name from sqlite_master where type = 'index' and tbl_name = 'log'").pluck().all()).toEqual(['log_tombstone'])
  after.close()
})
