import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { kubernetesRelease } from '../src/kubernetes-module.ts'
import type { State } from './final-state.ts'
import { isMoreOften, isOriginalOnly, isOursOnly, type EntryCount } from './klog.ts'
import { coursesOf, type Memory } from './memory.ts'
import type { Operation } from './planning.ts'
import { recordOf, type RecordedErrors } from './recorded.ts'
import type { Outcomes } from './run-plan.ts'
import type { Component } from './side.ts'

type Both<T> = Readonly<Record<'ours' | 'original', T>>

/** A run and what it showed. */
export interface Run {
  readonly minutes: number
  /** Of the plan. */
  readonly seed: number
  readonly plan: readonly Operation[]
  readonly outcomes: Both<Outcomes>
  readonly logs: readonly { readonly component: Component; readonly entries: readonly EntryCount[] }[]
  readonly recorded: RecordedErrors
  readonly states: Both<State>
  readonly differences: readonly string[]
  readonly processorSeconds: Both<Readonly<Record<string, number>>>
  /** Once a minute, and in the end. */
  readonly memory: Both<readonly Memory[]>
  /** Processes that ended by themselves. */
  readonly dead: Both<readonly string[]>
}

/** Operations that only ours refused. */
function refusedByOurs({ plan, outcomes }: Run): readonly string[] {
  return plan.flatMap(({ what, lanes }, index) =>
    outcomes.ours[index] !== undefined && outcomes.original[index] === undefined
      ? [`${what} (${lanes.join(', ')}): ${outcomes.ours[index]}`]
      : [],
  )
}

type Filter = (entry: EntryCount, component: Component) => boolean

const isErrorOfOurs: Filter = (entry) => entry.severity === 'E' && isOursOnly(entry)

const isErrorMoreOften: Filter = (entry) => entry.severity === 'E' && isMoreOften(entry)

/** Errors that nobody saw the original cause. */
const isBad =
  ({ recorded }: Run): Filter =>
  (entry, component) =>
    isErrorOfOurs(entry, component) && !recorded.has(recordOf(component, entry))

/** Whether the run shows something of ours that it must not. */
export function hasFailed(run: Run): boolean {
  return (
    run.logs.some(({ component, entries }) =>
      entries.some((entry) => isBad(run)(entry, component) || isErrorMoreOften(entry, component)),
    ) ||
    refusedByOurs(run).length > 0 ||
    run.differences.length > 0 ||
    run.states.ours.unsettled.length > 0 ||
    run.dead.ours.length > 0
  )
}

const row = (...cells: readonly (string | number)[]): string =>
  `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`

/** What is told about a run. */
export function reportOf(run: Run): string {
  const lines = [
    `${run.plan.length} operations on each side in ${run.minutes.toFixed(1)} minutes (seed ${run.seed}): **${hasFailed(run) ? 'failed' : 'passed'}**.`,
    '',
    row(
      'Component',
      'Errors: ours',
      'original',
      'kinds of ours only',
      'of the original only',
      'Warnings: ours',
      'original',
      'kinds of ours only',
      'of the original only',
    ),
    row(...Array.from({ length: 9 }, () => '---')),
    ...run.logs.map(({ component, entries }) => row(component, ...numbersOf(entries, 'E'), ...numbersOf(entries, 'W'))),
    '',
    row('', 'Ours', 'Original'),
    row('---', '---', '---'),
    row('Operations that were refused', refused(run.outcomes.ours), refused(run.outcomes.original)),
    row('Objects in the end', objects(run.states.ours), objects(run.states.original)),
    row('Not settled in the end', run.states.ours.unsettled.length, run.states.original.unsettled.length),
    ...processNames(run).map((name) =>
      row(
        `Processor time of ${name} (s)`,
        ...(['ours', 'original'] as const).map((side) => run.processorSeconds[side][name]?.toFixed(0) ?? ''),
      ),
    ),
    '',
    row('Memory (MB)', 'Most in the first half', 'Most in the second half', 'In the end'),
    row(...Array.from({ length: 4 }, () => '---')),
    ...(['ours', 'original'] as const).flatMap((side) =>
      coursesOf(run.memory[side]).map(({ name, firstHalf, secondHalf, last }) =>
        row(`${side}: ${name}`, firstHalf.toFixed(0), secondHalf.toFixed(0), last.toFixed(0)),
      ),
    ),
    ...listOf('Errors of ours only', run.logs, isBad(run)),
    ...listOf(
      'Errors of ours only in this run, which the original caused in others',
      run.logs,
      (entry, component) => isErrorOfOurs(entry, component) && !isBad(run)(entry, component),
    ),
    ...listOf('Warnings of ours only', run.logs, (entry) => entry.severity === 'W' && isOursOnly(entry)),
    ...listOf('Errors far more often with ours', run.logs, isErrorMoreOften),
    ...listOf('Warnings far more often with ours', run.logs, (entry) => entry.severity === 'W' && isMoreOften(entry)),
    ...list('Refused by ours only', refusedByOurs(run)),
    ...list('Other in the end', run.differences),
    ...list('Not settled with ours', run.states.ours.unsettled),
    ...list('Ended by itself', [...run.dead.ours.map((name) => `ours: ${name}`), ...run.dead.original.map((name) => `original: ${name}`)]),
  ]
  return lines.join('\n')
}

function numbersOf(entries: readonly EntryCount[], severity: EntryCount['severity']): readonly number[] {
  const mine = entries.filter((entry) => entry.severity === severity)
  const sum = (of: (entry: EntryCount) => number): number => mine.reduce((total, entry) => total + of(entry), 0)
  return [sum(({ ours }) => ours), sum(({ original }) => original), mine.filter(isOursOnly).length, mine.filter(isOriginalOnly).length]
}

const refused = (outcomes: Outcomes): number => outcomes.filter((outcome) => outcome !== undefined).length
const objects = ({ counts }: State): number => [...counts.values()].reduce((sum, count) => sum + count, 0)
const processNames = ({ processorSeconds }: Run): readonly string[] => [
  ...new Set([...Object.keys(processorSeconds.ours), ...Object.keys(processorSeconds.original)]),
]

const mostListed = 40

function listOf(title: string, logs: Run['logs'], filter: Filter): readonly string[] {
  const found = logs.flatMap(({ component, entries }) =>
    entries.filter((entry) => filter(entry, component)).map((entry) => ({ component, ...entry })),
  )
  return list(
    title,
    found.map(({ component, ours, original, example }) => `${component}, ${ours} to ${original}: \`${example.slice(0, 500)}\``),
  )
}

function list(title: string, items: readonly string[]): readonly string[] {
  if (items.length === 0) return []
  const rest = items.length > mostListed ? [`- … and ${items.length - mostListed} more`] : []
  return ['', `${title}:`, '', ...items.slice(0, mostListed).map((item) => `- ${item}`), ...rest]
}

/** Writes the report as a document. */
export async function writeDocument(file: string, run: Run): Promise<void> {
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}`
  await writeFile(
    file,
    `# Churn

kube-controller-manager, kube-scheduler and kubectl ${kubernetesRelease} on our API server (a process of its own on SQLite) and on the original's (on etcd), side by side
and under the same churn, as \`pnpm churn\` ran them last (e2e/churn), on ${new Date().toISOString().slice(0, 10)}: ${machine}.
Pods "run" on three hollow nodes, a program that does through the API what kubelets would. A kind of error is a line without its names, times, addresses and
numbers; what controllers say by code that they share is one kind for all of them (\`statements\` in e2e/churn/klog.ts). The run passes when ours causes no kind that
the original was never seen to cause (e2e/churn/original-errors.txt) and none ten times or more and over three times as often as the original, refuses nothing that
the original accepts, and ends in the same state.

${reportOf(run)}
`,
  )
}
