/** Runs the static checks and the tests, and ends with one line: `N passed, N failed` (and `, N skipped`). Each static check counts as one. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly numPendingTests: number
  readonly numTodoTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string }[]
  }[]
}

const root = join(import.meta.dirname, '..')
const only = new Set(process.argv.slice(2))
const total = { passed: 0, failed: 0, skipped: 0 }

const node = [process.execPath, '--conditions=@k3s/source']
const staticChecks: readonly (readonly [string, readonly string[]])[] = [
  ['types of the sources', ['tsc', '-b']],
  ['types of the tests', ['tsc', '-p', 'tsconfig.test.json']],
  ['lint', ['oxlint', '--type-aware']],
  ['format', ['oxfmt', '--check', '.']],
  ['layers', [...node, 'scripts/check-layers.ts']],
  ['long lists', [...node, 'scripts/check-spreads.ts']],
  ['unused code', ['knip']],
  ['examples in READMEs', [...node, 'scripts/check-readmes.ts']],
  ['packaging', [...node, 'scripts/check-packages.ts']],
]

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`

function check(name: string, [command = '', ...args]: readonly string[]): void {
  const began = performance.now()
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  const isGood = status === 0
  total[isGood ? 'passed' : 'failed']++
  console.log(`${isGood ? 'ok  ' : 'FAIL'} ${name} (${seconds(began)})`)
  if (!isGood) console.log(`${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`)
}

/** vitest's own tally misses files that cannot be imported and errors outside of tests: both count as failures here. */
function runVitest(name: string, filters: readonly string[]): void {
  const began = performance.now()
  const temporary = mkdtempSync(join(tmpdir(), 'k3s-test-'))
  try {
    const output = join(temporary, 'report.json')
    const { status } = spawnSync('vitest', ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${output}`, ...filters], {
      cwd: root,
      stdio: 'inherit',
    })
    let report: VitestReport | undefined
    try {
      report = JSON.parse(readFileSync(output, 'utf8')) as VitestReport // written by vitest just now
    } catch {
      report = undefined // vitest died before it wrote: counted below by its exit status
    }
    const deadFiles =
      report?.testResults.filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'))
        .length ?? 0
    const failed = (report?.numFailedTests ?? 0) + deadFiles
    total.passed += report?.numPassedTests ?? 0
    total.skipped += (report?.numPendingTests ?? 0) + (report?.numTodoTests ?? 0)
    total.failed += status !== 0 && failed === 0 ? 1 : failed
    if (status === 0 && (report?.numPassedTests ?? 0) === 0) total.failed++
    console.log(`${status === 0 ? 'ok  ' : 'FAIL'} ${name} (${seconds(began)})`)
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

const all = only.size === 0
if (all || only.has('--static') || only.has('--all-but-e2e')) for (const [name, command] of staticChecks) check(name, command)
if (all || only.has('--all-but-e2e')) runVitest('unit and integration tests', ['--project=!e2e'])
if (only.has('--unit')) runVitest('unit tests', ['--project=!e2e', 'src/'])
if (all || only.has('--e2e')) runVitest('whole-cluster tests', ['--project=e2e'])
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped === 0 ? '' : `, ${total.skipped} skipped`}`)
process.exitCode = total.failed === 0 ? 0 : 1
