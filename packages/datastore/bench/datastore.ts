/**
 * Measures every driver in this process, and through the etcd API beside kine and etcd, on one disk in one run, and verifies that nothing
 * that was answered is lost. Values are of 1,000 bytes; each write is durable before it is answered (kine on SQLite does not wait for the disk).
 *
 *     node --conditions=@k3s/source bench/datastore.ts [--targets=PART,...] [--workloads=create,...] [--clients=1,64,500]
 *       [--seconds=3] [--keys=10000] [--json=FILE] [--add=FILE] [--write]
 *
 * A target is taken when its name contains one of the parts. `--json` keeps the results, `--add` shows those of an earlier run too; with `--write`, docs/datastore-bench.md and .svg are made.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { workloads } from './load.ts'
import { findPeers } from './peers.ts'
import { describe, table, writeDocs } from './report.ts'
import type { Measurement } from './report.ts'
import { makeTargets } from './targets.ts'

const { values } = parseArgs({
  options: {
    targets: { type: 'string', default: '' },
    workloads: { type: 'string', default: workloads.join(',') },
    clients: { type: 'string', default: '1,64,500' },
    seconds: { type: 'string', default: '3' },
    keys: { type: 'string', default: '10000' },
    json: { type: 'string' },
    add: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})
const parts = values.targets.split(',')
const targets = makeTargets(findPeers()).filter(({ name }) => parts.some((part) => name.includes(part)))
/** What an earlier run has kept comes first. */
const measurements: Measurement[] = values.add === undefined ? [] : (JSON.parse(readFileSync(values.add, 'utf8')) as Measurement[]) // written below

const options = {
  workloads: workloads.filter((name) => values.workloads.split(',').includes(name)),
  clients: values.clients.split(',').map(Number),
  seconds: Number(values.seconds),
  keys: Number(values.keys),
  valueBytes: 1000,
  prefix: '/bench/',
}
for (const { name, start } of targets) {
  try {
    await using running = await start()
    await running.run(options, (result) => {
      const measurement = { target: name, ...result }
      measurements.push(measurement)
      console.log(describe(measurement))
      if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(measurements))
    })
  } catch (error) {
    console.error(`NOT MEASURED WHOLLY: ${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
console.log(table(measurements))
if (values.write) writeDocs(measurements, Number(values.seconds))
const wrong = measurements.filter(({ target, errors, lost, missed }) => !target.startsWith('kine') && errors + lost + missed > 0)
for (const { target, workload, clients, error } of wrong)
  console.error(`FAILED OR LOST: ${target}, ${workload}, ${clients} clients: ${error ?? ''}`)
process.exitCode = wrong.length === 0 ? 0 : 1
