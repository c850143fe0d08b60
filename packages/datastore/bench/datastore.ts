/**
 * Measures every driver in this process, and through the etcd API beside kine and etcd, on one disk in one run, and verifies that nothing
 * that was answered is lost. Values are of 1,000 bytes; each write is durable before it is answered (kine on SQLite does not wait for the disk).
 *
 *     node --conditions=@k3s/source bench/datastore.ts [--targets=PART,...] [--workloads=create,...] [--clients=1,64,500]
 *       [--seconds=3] [--keys=10000] [--json=FILE] [--write]
 *
 * A target is taken when its name contains one of the parts. `--json` keeps the results; with `--write`, docs/datastore-bench.md and .svg are made.
 */
import { writeFileSync } from 'node:fs'
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
    write: { type: 'boolean', default: false },
  },
})
const parts = values.targets.split(',')
const targets = makeTargets(findPeers()).filter(({ name }) => parts.some((part) => name.includes(part)))
const measurements: Measurement[] = []

for (const workload of workloads.filter((name) => values.workloads.split(',').includes(name)))
  for (const { name, start } of targets) {
    try {
      await using running = await start()
      const clients = values.clients.split(',').map(Number)
      const options = { workload, clients, seconds: Number(values.seconds), keys: Number(values.keys), valueBytes: 1000, prefix: '/bench/' }
      for (const result of await running.run(options)) {
        measurements.push({ target: name, ...result })
        console.log(describe({ target: name, ...result }))
      }
    } catch (error) {
      console.error(`NOT MEASURED: ${name}, ${workload}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(measurements))
console.log(table(measurements))
if (values.write) writeDocs(measurements, Number(values.seconds))
const wrong = measurements.filter(({ target, errors, lost, missed }) => !target.startsWith('kine') && errors + lost + missed > 0)
for (const { target, workload, clients, error } of wrong)
  console.error(`FAILED OR LOST: ${target}, ${workload}, ${clients} clients: ${error ?? ''}`)
process.exitCode = wrong.length === 0 ? 0 : 1
