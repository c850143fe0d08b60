import { writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { workloads } from './load.ts'
import { kineVersion } from './peers.ts'
import type { LoadOptions, LoadResult, Workload } from './load.ts'

export interface Measurement extends LoadResult {
  readonly target: string
}

const docs = join(import.meta.dirname, '../../../docs')

const titles: Readonly<Record<Workload, string>> = {
  create: 'Create',
  update: 'Update, on a condition',
  get: 'Get',
  list: 'List 500 keys',
  'list-all': 'List all keys',
  watch: 'Updates with 10 watchers',
  mixed: 'Mixed, as of a cluster, with 10 watchers',
}

const perSecond = ({ ops, seconds }: Measurement): number => ops / seconds
const round = (value: number): string => (value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))
const headings = ['Target', 'Clients', 'Ops/s', 'p50 (ms)', 'p99 (ms)', 'Max (ms)', 'Errors', 'Lost', 'Stale', 'Missed events']

function cells(measurement: Measurement): readonly string[] {
  const { target, clients, p50, p99, max, errors, lost, stale, missed } = measurement
  return [
    target,
    String(clients),
    round(perSecond(measurement)),
    ...[p50, p99, max].map((ms) => ms.toFixed(1)),
    ...[errors, lost, stale, missed].map(String),
  ]
}

/** One line for who waits. */
export function describe(measurement: Measurement): string {
  return `${measurement.workload.padEnd(9)} ${cells(measurement)
    .map((cell, index) => (index === 0 ? cell.padEnd(24) : cell.padStart(9)))
    .join(' ')}`
}

/** All as Markdown, a table a workload. */
export function table(measurements: readonly Measurement[]): string {
  return workloads
    .flatMap((workload) => {
      const rows = measurements.filter((measurement) => measurement.workload === workload)
      if (rows.length === 0) return []
      const lines = [headings, headings.map(() => '---'), ...rows.map(cells)].map((row) => `| ${row.join(' | ')} |`)
      return [`## ${titles[workload]}`, '', ...lines, '']
    })
    .join('\n')
}

/** `seconds` and `keys` are those of the load. */
export function writeDocs(measurements: readonly Measurement[], { seconds, keys }: Pick<LoadOptions, 'seconds' | 'keys'>): void {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}, Node ${process.versions.node}`
  const text = `# Benchmarks of the datastore

Made by \`cd packages/datastore && node --conditions=@k3s/source bench/datastore.ts --write\` on ${new Date().toISOString().slice(0, 10)}: ${machine}.
Each row is ${seconds} s of load, on a store that begins empty, for all but creates filled with ${keys.toLocaleString('en')} keys. Values are of 1,000 bytes.

- **in-process**: the load calls the library in the same process; there is no network and no gRPC.
- **etcd API**: our server of the etcd v3 API, **kine** and **etcd** in processes of their own, under one and the same Go program (\`bench/etcd-load\`) on loopback. kine is ${kineVersion}.
- A row that is missing took longer than the run had for its target. With 500 clients no full lists are asked for.
- All share the machine's processors with their load. Each answered write is on disk; only kine on SQLite answers before that.
- *Lost* are answered writes that were not there 5 s after the load; *stale* those that were not there at once; *missed* events that a watcher was not sent.
- With watchers, the times are those from the sending of a write to its event; in the mixed load they are those of the operations.

![Operations a second with 64 clients](datastore-bench.svg)

${table(measurements)}`
  writeFileSync(join(docs, 'datastore-bench.md'), text)
  writeFileSync(join(docs, 'datastore-bench.svg'), plot(measurements.filter(({ clients }) => clients === 64)))
}

const colours: readonly (readonly [begin: string, colour: string])[] = [
  ['in-process', '#1b7f5c'],
  ['etcd API', '#2f6fd0'],
  ['kine', '#b5651d'],
  ['etcd', '#777777'],
]
const [barHeight, panelWidth, labelWidth, gap] = [18, 560, 170, 24]

/** A panel a workload, a bar a target. */
function plot(measurements: readonly Measurement[]): string {
  const parts: string[] = []
  let y = 40
  for (const workload of workloads) {
    const rows = measurements.filter((measurement) => measurement.workload === workload)
    if (rows.length === 0) continue
    // What is in memory would leave nothing to be seen of the others: it is cut off.
    const most = Math.max(...rows.filter(({ target }) => rows.length === 1 || !target.endsWith('memory')).map(perSecond))
    parts.push(`<text x="0" y="${y}" font-weight="bold">${titles[workload]}</text>`)
    y += 8
    for (const row of rows) {
      const isCut = perSecond(row) > most
      const width = Math.max(1, Math.min(1, perSecond(row) / most) * (panelWidth - labelWidth - 70))
      const colour = colours.find(([begin]) => row.target.startsWith(begin))?.[1] ?? '#777777'
      parts.push(
        `<text x="${labelWidth - 6}" y="${y + 13}" text-anchor="end">${row.target}</text>`,
        `<rect x="${labelWidth}" y="${y + 2}" width="${width.toFixed(1)}" height="${barHeight - 4}" fill="${colour}"/>`,
        `<text x="${(labelWidth + width + 5).toFixed(1)}" y="${y + 13}">${isCut ? '» ' : ''}${round(perSecond(row))}</text>`,
      )
      y += barHeight
    }
    y += gap
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 ${panelWidth + 20} ${y}" width="${panelWidth + 20}" height="${y}" font-family="sans-serif" font-size="12">
<rect x="-10" width="100%" height="100%" fill="white"/>
<text x="0" y="14">Operations a second, 64 clients, values of 1,000 bytes</text>
${parts.join('\n')}
</svg>
`
}
