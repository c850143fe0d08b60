/**
 * Long runs that break things and look whether anything is lost. They print a table and end with 1 when a bound is not kept.
 *
 *     pnpm faults torture --database postgres|mariadb [--transactions 100000] [--freeze 30] …
 *     pnpm faults sqlite-kill [--rounds 100]
 *     pnpm faults history [--updates 1000000]
 *     pnpm faults outage --database postgres|mariadb|etcd
 *     pnpm faults disk
 *
 * The first lines of each run's file tell its options.
 */
import { disk } from './disk.ts'
import { history } from './history.ts'
import { outage } from './outage.ts'
import { sqliteKill } from './sqlite-kill.ts'
import { torture } from './torture.ts'

const runs: Readonly<Record<string, (args: readonly string[]) => Promise<boolean>>> = {
  torture,
  'sqlite-kill': sqliteKill,
  history,
  outage,
  disk,
}

const [name = '', ...args] = process.argv.slice(2).filter((argument) => argument !== '--')
const run = runs[name]
if (run === undefined) {
  console.error(`Unknown run "${name}": ${Object.keys(runs).join(', ')}`)
  process.exitCode = 2
} else process.exitCode = (await run(args)) ? 0 : 1
