import type { Statements } from './store.ts'

/** Findings of one kind that are told. */
const maxFindings = 20

/** Rows that contradict each other, by what is to be said of them. */
const contradictions: Readonly<Record<string, string>> = {
  'A key that lives has no row in the log, or one that differs': `select hex(live.key) from live left join log on log.id = live.id
    where log.id is null or log.key <> live.key or log.revision <> live.revision or log.created <> live.created
      or log.version <> live.version or log.lease is not live.lease`,
  'A key that lives has a newer row in the log': `select hex(log.key) from log join live on live.key = log.key where log.id > live.id`,
  'A key has a lease that does not exist': `select hex(live.key) from live left join lease on lease.id = live.lease where live.lease is not null and lease.id is null`,
}

/** What is wrong with a file, one sentence each. Reads all of it. */
export function findProblems(statements: Statements): readonly string[] {
  const pages = statements.of(`pragma integrity_check(${maxFindings})`).all()
  const problems = pages.map(([text]) => String(text)).filter((text) => text !== 'ok')
  if (problems.length > 0) return problems.map((text) => `SQLite: ${text}`)
  return Object.entries(contradictions).flatMap(([sentence, sql]) => {
    const rows = statements.of(`${sql} limit ${maxFindings}`).all()
    return rows.map(([key]) => `${sentence}: ${JSON.stringify(Buffer.from(String(key), 'hex').toString('utf8'))}`)
  })
}
