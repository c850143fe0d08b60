/**
 * The original's controllers, scheduler and kubectl under the same churn on our API server and on the original's, side by side; then what they logged
 * and what is there is compared. `pnpm churn --help` says more.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheFolder, kubernetesRelease } from '../src/kubernetes-module.ts'
import { findPrograms, NoProgramError } from '../src/programs.ts'
import { differencesOf, settledState } from './final-state.ts'
import { runHollowNodes } from './hollow-nodes.ts'
import { countEntries } from './klog.ts'
import { followMemory } from './memory.ts'
import { makePlan } from './plan.ts'
import { readRecorded, record } from './recorded.ts'
import { hasFailed, reportOf, writeDocument, type Run } from './report.ts'
import { runPlan } from './run-plan.ts'
import { components, startSide } from './side.ts'

const usage = `pnpm churn [--minutes 60] [--rate 2] [--seed 1]
  Runs kube-controller-manager, kube-scheduler and kubectl ${kubernetesRelease} against our API server and against a real kube-apiserver, both under the
  same churn, and compares what they logged. Fails when one of them logs an error with ours that it was never seen to log with the original, or far more
  often, when an operation is refused by ours alone, or when what is there in the end differs. Tells the memory of all of them, too.

  --minutes N        of churn (default 60); starting and settling take some more
  --rate N           operations a second on each side (default 2)
  --seed N           of the plan
  --programs FOLDER  has kube-apiserver, kube-controller-manager, kube-scheduler, kubectl and etcd (default: built once into the user's cache)
  --output FOLDER    gets the logs of all components, memory.json and report.md; what was there is deleted
  --record           adds the errors of the original to those that it is known for (original-errors.txt)
  --write            puts the result into docs/churn.md
`
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '2' },
    seed: { type: 'string', default: '1' },
    programs: { type: 'string' },
    output: { type: 'string', default: join(cacheFolder('k3s-churn'), 'last') },
    record: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const nodes = ['hollow-0', 'hollow-1', 'hollow-2']
// Controllers see the end of the churn.
const quietMs = 5000

const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(`Interrupted by ${name}`)))

async function churn(): Promise<Run> {
  const programs = await findPrograms(['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl', 'etcd'], values.programs)
  await rm(values.output, { recursive: true, force: true })
  await mkdir(values.output, { recursive: true })
  const plan = makePlan({ seed: Number(values.seed), seconds: Number(values.minutes) * 60, rate: Number(values.rate) })
  console.log(`${plan.length} operations on each side; logs are in ${values.output}`)
  await using ours = await startSide('ours', programs, join(values.output, 'ours'))
  await using original = await startSide('original', programs, join(values.output, 'original'))
  const stop = new AbortController()
  const running = Promise.all([ours, original].map((side) => runHollowNodes(side, nodes, stop.signal)))
  const remembering = Promise.all([ours, original].map((side) => followMemory(() => side.memory(), stop.signal)))
  const began = performance.now()
  const [oursDone, originalDone] = await Promise.all([ours, original].map((side) => runPlan(side, plan, interrupted.signal)))
  const minutes = (performance.now() - began) / 60_000
  await new Promise((resolve) => setTimeout(resolve, quietMs))
  const [oursState, originalState] = await Promise.all([settledState(ours, interrupted.signal), settledState(original, interrupted.signal)])
  const processorSeconds = { ours: await ours.processorSeconds(), original: await original.processorSeconds() }
  const dead = { ours: ours.dead, original: original.dead }
  stop.abort()
  await running
  const [oursMemory = [], originalMemory = []] = await remembering
  const memory = { ours: oursMemory, original: originalMemory }
  await writeFile(join(values.output, 'memory.json'), JSON.stringify(memory, undefined, 1))
  const logs = await Promise.all(
    components.map(async (component) => {
      const format = component === 'kubectl' || component === 'hollow-nodes' ? 'plain' : 'klog'
      const lines = { ours: await ours.logOf(component), original: await original.logOf(component) }
      return { component, entries: countEntries(lines, format, { ours: ours.deletions, original: original.deletions }) } as const
    }),
  )
  return {
    minutes,
    seed: Number(values.seed),
    plan,
    outcomes: { ours: oursDone ?? [], original: originalDone ?? [] },
    logs,
    recorded: await readRecorded(),
    states: { ours: oursState, original: originalState },
    differences: differencesOf(oursState, originalState),
    processorSeconds,
    memory,
    dead,
  }
}

async function main(): Promise<number> {
  if (values.help) {
    console.log(usage)
    return 0
  }
  let run: Run
  try {
    run = await churn()
  } catch (error) {
    if (!(error instanceof NoProgramError)) throw error
    console.error(`NOT RUN: the churn of Kubernetes ${kubernetesRelease}'s controllers, because ${error.message}`)
    return 2
  }
  const report = reportOf(run)
  console.log(report)
  await writeDocument(join(values.output, 'report.md'), run)
  if (values.record) await record(run.logs)
  if (values.write) await writeDocument(join(import.meta.dirname, '../../docs/churn.md'), run)
  return hasFailed(run) || interrupted.signal.aborted ? 1 : 0
}

// The code is what callers go by; programs that would not end are not waited for.
process.exit(
  await main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    return 1
  }),
)
