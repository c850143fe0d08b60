import type { SqlDialect } from './dialect.ts'
import { rowOverheadBytes } from './overlay-store.ts'
import { plain, toNumber } from './rows.ts'
import { runWithin } from './session-pool.ts'
import type { SessionPool } from './session-pool.ts'

/** Rows of history that one slice looks at: some milliseconds of work. */
const sliceRows = 1000

/**
 * Frees some compacted history: each row below the compact revision makes the row that it replaced superfluous, and itself when it is a tombstone;
 * so every row is visited once, whatever is alive. Rows that the compact revision itself replaced stay, as its events' previous values.
 * One member at a time does it: while another has the row of `compaction`, there is nothing to do. True when more is left.
 */
export async function compactSlice(dialect: SqlDialect, pool: SessionPool, timeoutMs: number): Promise<boolean> {
  return pool.use(async (session) => {
    const [, claim] = await runWithin(
      session,
      [plain(dialect.begin), plain(`select compacted_id from compaction ${dialect.skipLocked}`)],
      timeoutMs,
    )
    const compactedId = claim?.[0]?.[0]
    if (compactedId === undefined) {
      await runWithin(session, [plain('commit')], timeoutMs)
      return false
    }
    const [rows = []] = await runWithin(
      session,
      [
        {
          sql: `select id, previous, version from log where id > ?
            and id < coalesce((select min(id) from log where revision =
              (select revision from log where revision >= (select compact_revision from state) order by revision limit 1)), 0)
            order by id limit ${sliceRows}`,
          values: [compactedId],
        },
      ],
      timeoutMs,
    )
    const superfluous = rows.flatMap(([id, previous, version]) => [
      ...(toNumber(previous) > 0 ? [toNumber(previous)] : []),
      ...(toNumber(version) === 0 ? [toNumber(id)] : []),
    ])
    const through = rows.at(-1)?.[0]
    if (through === undefined) {
      await runWithin(session, [plain('commit')], timeoutMs)
      return false
    }
    const chosen = superfluous.length === 0 ? undefined : dialect.oneOf('id', 'integer', superfluous)
    const [sizes] =
      chosen === undefined
        ? []
        : await runWithin(
            session,
            [
              {
                sql: `select coalesce(sum(octet_length(name) + octet_length(value) + ${rowOverheadBytes}), 0) from log where ${chosen.sql}`,
                values: chosen.values,
              },
              { sql: `delete from log where ${chosen.sql}`, values: chosen.values },
            ],
            timeoutMs,
          )
    const freed = toNumber(sizes?.[0]?.[0] ?? 0)
    const advance = { sql: 'update compaction set compacted_id = ?, freed_bytes = freed_bytes + ?', values: [through, freed] }
    await runWithin(session, [advance, plain('commit')], timeoutMs)
    return rows.length === sliceRows
  })
}
