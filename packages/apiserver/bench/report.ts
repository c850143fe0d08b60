import { writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { workloads, type LoadOptions, type LoadResult, type Workload } from './load.ts'

export interface Measurement extends LoadResult {
  readonly target: string
}

/** Of a whole run. */
export interface Footprint {
  readonly target: string
  readonly startMs: number
  /** After the load, in MiB. */
  readonly rss: number
  /** The same after as many requests of each kind as there are objects, however long they took. */
  readonly rssAfterEqualWork: number
}

const docs = join(import.meta.dirname, '../../../docs')

const titles: Readonly<Record<Workload, string>> = {
  create: 'Create',
  get: 'Get',
  update: 'Update',
  patch: 'Merge patch',
  list: 'Full list',
  'list-page': 'List 500',
  'list-selector': 'List of a selector that takes 1 %',
  watch: 'Events, all watchers',
  delete: 'Delete',
}

const perSecond = ({ ops, seconds }: Measurement): number => ops / seconds
const round = (value: number): string => (value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))

/** One line for who waits. */
export function describe(measurement: Measurement): string {
  const { workload, target, p50, p99, errors, cpuMicros } = measurement
  return `${workload.padEnd(14)} ${target.padEnd(22)} ${round(perSecond(measurement)).padStart(9)}/s  p50 ${p50.toFixed(1).padStart(7)}  p99 ${p99.toFixed(1).padStart(7)}  errors ${errors}  cpu ${round(cpuMicros)} µs`
}

export function writeDocs(
  measurements: readonly Measurement[],
  footprints: readonly Footprint[],
  options: Omit<LoadOptions, 'address' | 'cpuMs'>,
): void {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}, Node ${process.versions.node}`
  const lines = (rows: readonly (readonly string[])[]): string => rows.map((row) => `| ${row.join(' | ')} |`).join('\n')
  const tables = workloads.map((workload) => {
    const rows = measurements.filter((measurement) => measurement.workload === workload)
    const cells = rows.map((row) => [
      row.target,
      round(perSecond(row)),
      row.p50.toFixed(1),
      row.p99.toFixed(1),
      round(row.cpuMicros),
      String(row.errors),
    ])
    return `## ${titles[workload]}\n\n${lines([['Target', 'A second', 'p50 (ms)', 'p99 (ms)', 'CPU (µs)', 'Errors'], ['---', '---', '---', '---', '---', '---'], ...cells])}\n`
  })
  const footprint = footprints.map(({ target, startMs, rss, rssAfterEqualWork }) => [
    target,
    startMs.toFixed(0),
    rssAfterEqualWork.toFixed(0),
    rss.toFixed(0),
  ])
  const text = `# Benchmarks of the API server

Made by \`cd packages/apiserver && node --conditions=@k3s/source bench/api-server.ts --write\` on ${new Date().toISOString().slice(0, 10)}: ${machine}.
Each row is ${options.seconds} s of load by ${options.clients} clients, each with an HTTP/2 connection over TLS, on ConfigMaps of ${options.valueBytes} bytes; lists are of ${options.objects}, full ones by 4 clients at a time.

- **ours** is one process, bundled as the program is and with its settings; **kube-apiserver** 1.36 with etcd, or with kine on SQLite, in two. All share the machine's processors with the load, a Node program.
- CPU is the processor time of the server's processes for one operation or event.
- Each answered write is on disk, but of *memory* and of kine on SQLite.
- Events are those that ${options.watchers} watchers got together of the writes of 4 clients; their times are from the sending of a write to its event.

![Operations a second](apiserver-bench.svg)

${tables.join('\n')}
## Start and memory

${lines([['Target', 'Start (ms)', 'RSS after equal work (MiB)', 'RSS after equal time (MiB)'], ['---', '---', '---', '---'], ...footprint])}

The start is that of all processes, from the first until \`/readyz\`; the memory that of all processes. Equal work is ${options.objects} requests of each kind (of lists ${options.objects / 250}, of watched writes ${options.objects / 10}) on a server that has just been started; equal time is all of the above, in which a quicker server does and remembers more.
`
  writeFileSync(join(docs, 'apiserver-bench.md'), text)
  writeFileSync(join(docs, 'apiserver-bench.svg'), plot(measurements))
}

const colours: readonly (readonly [begin: string, colour: string])[] = [
  ['ours, SQLite', '#1b7f5c'],
  ['ours', '#2f6fd0'],
  ['kube-apiserver, kine', '#b5651d'],
]
const [barHeight, panelWidth, labelWidth, gap] = [18, 560, 170, 24]

/** A panel a workload, a bar a target. */
function plot(measurements: readonly Measurement[]): string {
  const parts: string[] = []
  let y = 16
  for (const workload of workloads) {
    const rows = measurements.filter((measurement) => measurement.workload === workload)
    const most = Math.max(...rows.map(perSecond))
    parts.push(`<text x="0" y="${y}" font-weight="bold">${titles[workload]}</text>`)
    y += 8
    for (const row of rows) {
      const width = Math.max(1, (perSecond(row) / most) * (panelWidth - labelWidth - 70))
      const colour = colours.find(([begin]) => row.target.startsWith(begin))?.[1] ?? '#777777'
      parts.push(
        `<text x="${labelWidth - 6}" y="${y + 13}" text-anchor="end">${row.target}</text>`,
        `<rect x="${labelWidth}" y="${y + 2}" width="${width.toFixed(1)}" height="${barHeight - 4}" fill="${colour}"/>`,
        `<text x="${(labelWidth + width + 5).toFixed(1)}" y="${y + 13}">${round(perSecond(row))}</text>`,
      )
      y += barHeight
    }
    y += gap
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 ${panelWidth + 20} ${y}" width="${panelWidth + 20}" height="${y}" font-family="sans-serif" font-size="12">
<rect x="-10" width="100%" height="100%" fill="white"/>
${parts.join('\n')}
</svg>
`
}
