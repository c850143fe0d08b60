/**
 * Our API server beside a real kube-apiserver on etcd and on kine, in one run and under one load:
 * `node --conditions=@k3s/source bench/api-server.ts [--write] [--seconds 10] [--objects 5000] [--watchers 200] [--only NAME]`.
 * `--write` puts a table and a plot into docs/. Without Go only ours is measured, and it says so.
 */
import { parseArgs } from 'node:util'
import { runLoad } from './load.ts'
import { describe, writeDocs, type Footprint, type Measurement } from './report.ts'
import { targets, type Target } from './targets.ts'

const { values } = parseArgs({
  options: {
    write: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '10' },
    objects: { type: 'string', default: '5000' },
    watchers: { type: 'string', default: '200' },
    only: { type: 'string', default: '' },
  },
})
const options = {
  clients: 32,
  seconds: Number(values.seconds),
  objects: Number(values.objects),
  watchers: Number(values.watchers),
  valueBytes: 1000,
}
const measurements: Measurement[] = []
const footprints: Footprint[] = []
for (const [name, start] of targets()) {
  if (!name.includes(values.only)) continue
  await using target = await start()
  await runLoad({ ...options, address: target.address, cpuMs: () => target.cpuMs() }, (result) => {
    const measurement = { target: name, ...result }
    measurements.push(measurement)
    console.log(describe(measurement))
  })
  const footprint = { target: name, startMs: target.startMs, rss: target.rss(), rssAfterEqualWork: await rssAfterEqualWork(start) }
  footprints.push(footprint)
  console.log(
    `${name}: ready after ${footprint.startMs.toFixed(0)} ms, ${footprint.rss.toFixed(0)} MiB, after equal work ${footprint.rssAfterEqualWork.toFixed(0)} MiB`,
  )
}

/** In so many seconds the quicker server does more, and remembers more: here each does the same. */
async function rssAfterEqualWork(start: () => Promise<Target>): Promise<number> {
  await using target = await start()
  const { address } = target
  await runLoad({ ...options, seconds: 600, operations: options.objects, address, cpuMs: () => target.cpuMs() }, () => {})
  return target.rss()
}

if (values.write) writeDocs(measurements, footprints, options)
