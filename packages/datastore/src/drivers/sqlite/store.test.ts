import fc from 'fast-check'
import { expect, it } from 'vitest'
import { loadSqlEngine } from './database.ts'
import { findFirstId, Statements } from './store.ts'

const engine = await loadSqlEngine(undefined)

it('findFirstId() divides the log at every revision, however many rows revisions have and whatever was compacted away', () => {
  // One entry a revision: its rows, each of them kept or compacted.
  fc.assert(
    fc.property(fc.array(fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }), { maxLength: 60 }), (revisions) => {
      const database = engine.open(':memory:', { busyTimeoutMs: 0 })
      database.exec(
        'create table log (id integer primary key, revision integer not null); create table state (compacted_id integer); insert into state values (0)',
      )
      const statements = new Statements(database)
      const rows: { readonly id: number; readonly revision: number }[] = []
      let id = 0
      for (const [index, kept] of revisions.entries())
        for (const isKept of kept) {
          id++
          if (!isKept) continue
          rows.push({ id, revision: index + 2 })
          statements.of('insert into log values (?, ?)').run(id, index + 2)
        }
      for (let revision = 1; revision <= revisions.length + 3; revision++) {
        const first = findFirstId(statements, revision)
        expect(rows.filter((row) => row.id < first)).toEqual(rows.filter((row) => row.revision < revision))
      }
      database.close()
    }),
    { numRuns: 60 },
  )
})

it('findFirstId() leaves out what was restored, which is in the order of keys', () => {
  const database = engine.open(':memory:', { busyTimeoutMs: 0 })
  database.exec(`create table log (id integer primary key, revision integer not null); create table state (compacted_id integer);
    insert into state values (3); insert into log values (1, 9), (2, 4), (3, 7)`)
  const statements = new Statements(database)
  expect(findFirstId(statements, 9)).toBe(4)
  database.exec('insert into log values (4, 10), (5, 10), (6, 11)')
  expect([9, 10, 11, 12].map((revision) => findFirstId(statements, revision))).toEqual([4, 4, 6, 7])
  database.close()
})
