/** The statements that read keys, now or at an older revision. All go by an index, and none touches history older than what is asked. */
import type { KeyRange } from '../../contract.ts'
import type { SqlCondition, SqlStatement } from './dialect.ts'
import { itemColumns, rangeCondition } from './rows.ts'

/** Live items that meet a condition on `live`, in byte order of their keys. `limit` 0: all. */
export function selectLive(
  condition: SqlCondition,
  { limit = 0, keysOnly = false }: { readonly limit?: number; readonly keysOnly?: boolean } = {},
): SqlStatement {
  const source = keysOnly
    ? `select ${itemColumns('live', 'null')} from live`
    : `select ${itemColumns('live', 'log.value')} from live join log on log.id = live.id`
  return limited(`${source} where ${condition.sql} order by live.name`, condition.values, limit)
}

export function countLive(condition: SqlCondition): SqlStatement {
  return { sql: `select count(*) from live where ${condition.sql}`, values: condition.values }
}

/**
 * Names and log rows of what was there at a revision: live keys that were not written since, and, of each key that was, what its first write
 * since has replaced.
 */
function then(range: KeyRange, revision: number): SqlStatement {
  const [live, log] = [rangeCondition(range, 'live.name'), rangeCondition(range, 'log.name')]
  return {
    sql: `select live.name, live.id from live where ${live.sql} and live.revision <= ?
      union all
      select log.name, log.previous as id from (select min(log.id) as id from log where log.revision > ? and ${log.sql} group by log.name) first_since
      join log on log.id = first_since.id where log.previous > 0`,
    values: [...live.values, revision, revision, ...log.values],
  }
}

/** The items of a range at an older revision, which has not been compacted. */
export function selectAt(
  range: KeyRange,
  revision: number,
  { limit = 0, keysOnly = false }: { readonly limit?: number; readonly keysOnly?: boolean } = {},
): SqlStatement {
  const { sql, values } = then(range, revision)
  const chosen = limited(`select item.name, item.id from (${sql}) item order by item.name`, values, limit)
  return {
    sql: `select ${itemColumns('log', keysOnly ? 'null' : 'log.value')} from (${chosen.sql}) chosen join log on log.id = chosen.id order by log.name`,
    values: chosen.values,
  }
}

export function countAt(range: KeyRange, revision: number): SqlStatement {
  const { sql, values } = then(range, revision)
  return { sql: `select count(*) from (${sql}) item`, values }
}

function limited(sql: string, values: readonly unknown[], limit: number): SqlStatement {
  return limit === 0 ? { sql, values } : { sql: `${sql} limit ?`, values: [...values, limit] }
}
