/**
 * Measures every driver in this process, and through the etcd API beside kine and etcd, on one disk in one run, and verifies that nothing
 * that was answered is lost. Values are of 1,000 bytes; each write is durable before it is answered (kine on SQLite does not wait for the disk).
 *
 *     node --conditions=@k3s/source bench/datastore.ts [--targets=PART,...] [--workloads=create,...] [--clients=1,64,500]
 *       [--seconds=2] [--minutes=25] [--keys=10000] [--json=FILE] [--add=FILE] [--write]
 *
 * A target is taken when its name contains one of the parts. Each has a fair share of the minutes that are left; what it cannot do in its share is
 * not measured, and told. `--seconds=1 --minutes=12` is a short run. `--json` keeps the results, `--add` shows those of an earlier run too, as far as
 * this run does not measure them again; with `--write`, docs/datastore-bench.md and .svg are made.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
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
    seconds: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '25' },
    keys: { type: 'string', default: '10000' },
    json: { type: 'string' },
    add: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})
const parts = values.targets.split(',')
const targets = makeTargets(findPeers()).filter(({ name }) => parts.some((part) => name.includes(part)))
/** What an earlier run has kept comes first. */
let measurements: Measurement[] = values.add === undefined ? [] : (JSON.parse(readFileSync(values.add, 'utf8')) as Measurement[]) // written below
const isSame = (a: Measurement, b: Measurement): boolean => a.target === b.target && a.workload === b.workload && a.clients === b.clients

if (statSync(tmpdir()).dev !== statSync(import.meta.dirname).dev)
  console.error('NOT ONE DISK: database servers store in the folder for temporary files, which is on another file system than this folder')
const options = {
  workloads: workloads.filter((name) => values.workloads.split(',').includes(name)),
  clients: values.clients.split(',').map(Number),
  seconds: Number(values.seconds),
  keys: Number(values.keys),
  valueBytes: 1000,
  prefix: '/bench/',
}
const end = Date.now() + Number(values.minutes) * 60_000
for (const [index, { name, start }] of targets.entries()) {
  const deadlineMs = Date.now() + (end - Date.now()) / (targets.length - index)
  try {
    await using running = await start()
    await running.run({ ...options, deadlineMs }, (result) => {
      const measurement = { target: name, ...result }
      measurements = [...measurements.filter((earlier) => !isSame(earlier, measurement)), measurement]
      console.log(describe(measurement))
      if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(measurements))
    })
  } catch (error) {
    console.error(`NOT MEASURED WHOLLY: ${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}
console.log(table(measurements))
if (values.write) writeDocs(measurements, options)
const wrong = measurements.filter(({ target, errors, lost, missed }) => !target.startsWith('kine') && errors + lost + missed > 0)
for (const { target, workload, clients, error } of wrong)
  console.error(`FAILED OR LOST: ${target}, ${workload}, ${clients} clients: ${error ?? ''}`)
process.exitCode = wrong.length === 0 ? 0 : 1
