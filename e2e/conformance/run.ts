import { spawn } from 'node:child_process'
import { openSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Programs } from './programs.ts'
import type { ConformanceTest } from './tests.ts'

/** What became of a test. */
export interface Outcome {
  readonly test: ConformanceTest
  readonly state: 'passed' | 'failed' | 'not run'
  readonly seconds: number
  /** Why it failed, else empty. */
  readonly message: string
}

export interface RunOptions {
  readonly kubeconfig: string
  /** Tests that run at once. */
  readonly processes: number
  readonly timeoutMinutes: number
  /** Gets `report.json` and the suite's own output, `output.txt`. */
  readonly folder: string
  /** Nodes that need not be Ready; -1: none need be. */
  readonly allowedNotReadyNodes: number
  /** Interrupts the suite; what was made in the cluster stays. */
  readonly signal: AbortSignal
}

/** Runs tests on a cluster. One that did not come to its turn in time is `not run`. */
export async function runTests(programs: Programs, tests: readonly ConformanceTest[], options: RunOptions): Promise<readonly Outcome[]> {
  const { folder, processes, timeoutMinutes, kubeconfig, allowedNotReadyNodes, signal } = options
  await mkdir(folder, { recursive: true })
  const reportFile = join(folder, 'report.json')
  await rm(reportFile, { force: true })
  const output = openSync(join(folder, 'output.txt'), 'w')
  const focus = tests.map(({ name }) => `^.*${name.replaceAll(/[\][(){}.*+?^$|\\]/g, '\\$&')}$`).join('|')
  const run = [`--procs=${processes}`, `--timeout=${timeoutMinutes}m`, '--no-color', `--json-report=${reportFile}`, `--focus=${focus}`]
  const target = ['--provider=skeleton', `--kubeconfig=${kubeconfig}`, `--kubectl-path=${programs.kubectl}`]
  const args = [...run, programs.suite, '--', ...target, `--allowed-not-ready-nodes=${allowedNotReadyNodes}`]
  // Tests look for kubectl by themselves, too.
  const env = { ...process.env, PATH: `${dirname(programs.kubectl)}:${process.env['PATH'] ?? ''}` }
  const child = spawn(programs.runner, args, { cwd: folder, env, stdio: ['ignore', output, output], signal, killSignal: 'SIGINT' })
  await new Promise((resolve, reject) => child.once('error', reject).once('exit', resolve))
  const text = await readFile(reportFile, 'utf8').catch(() => undefined)
  if (text === undefined) {
    const said = (await readFile(join(folder, 'output.txt'), 'utf8')).trimEnd().split('\n').slice(-20)
    throw new Error(`The suite made no report:\n${said.join('\n')}`)
  }
  return outcomesOf(text, tests)
}

/** Reads ginkgo's report. */
export function outcomesOf(report: string, tests: readonly ConformanceTest[]): readonly Outcome[] {
  const suites = JSON.parse(report) as readonly SuiteReport[] // ginkgo's own format
  const byName = new Map(
    suites
      .flatMap(({ SpecReports }) => SpecReports ?? [])
      .filter(({ LeafNodeType }) => LeafNodeType === 'It')
      .map((spec) => [[...(spec.ContainerHierarchyTexts ?? []), spec.LeafNodeText].join(' '), spec] as const),
  )
  return tests.map((test) => {
    const spec = byName.get(test.name)
    const isRun = spec !== undefined && spec.State !== 'skipped' && spec.State !== 'pending'
    return {
      test,
      state: !isRun ? 'not run' : spec.State === 'passed' ? 'passed' : 'failed',
      seconds: (spec?.RunTime ?? 0) / 1e9,
      message: spec?.Failure?.Message ?? '',
    }
  })
}

interface SuiteReport {
  readonly SpecReports?:
    | readonly {
        readonly LeafNodeType: string
        readonly ContainerHierarchyTexts?: readonly string[] | null
        readonly LeafNodeText: string
        readonly State: string
        /** Nanoseconds. */
        readonly RunTime: number
        readonly Failure?: { readonly Message: string }
      }[]
    | null
}
