import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { DiskResult, DiskSettings } from './disk-member.ts'
import { readOptions } from './options.ts'
import { RunReport } from './report.ts'

const member = join(import.meta.dirname, 'disk-member.ts')

/** A SQLite file on a disk that is full for a while, and on one that takes half a minute to bring a commit to disk. Needs root and strace. */
export async function disk(args: readonly string[]): Promise<boolean> {
  const { seconds, folder } = readOptions(args, { seconds: 30, folder: process.cwd() })
  const directory = mkdtempSync(join(folder, '.faults-'))
  try {
    const isFullKept = await fullDisk(directory)
    const isSlowKept = await slowDisk(directory, seconds)
    return isFullKept && isSlowKept
  } finally {
    rmSync(directory, { recursive: true })
  }
}

async function fullDisk(directory: string): Promise<boolean> {
  // The small disk exists in a mount namespace of its own and goes with it; the result is written outside of it.
  const mount = join(directory, 'small')
  const resultPath = join(directory, 'full.json')
  const settings: DiskSettings = { dsn: `sqlite://${mount}/x.db`, seconds: 20, valueBytes: 20_000, ballast: `${mount}/ballast`, resultPath }
  const script =
    'mkdir "$1" && mount -t tmpfs -o size=48m none "$1" && head -c 36000000 /dev/zero >"$1/ballast" && exec "$2" --conditions=@k3s/source "$3" "$4"'
  const how = await run('unshare', ['--mount', 'sh', '-c', script, 'sh', mount, process.execPath, member, JSON.stringify(settings)])
  const report = new RunReport()
  report.check('the process', how, 'lives', how === 'exit code 0')
  const result = readResult(resultPath)
  if (result !== undefined) {
    noteResult(report, result)
    const others = Object.keys(result.failures).filter((code) => code !== 'NoSpace')
    const refused = result.failures['NoSpace'] ?? 0
    report.check('refused with NoSpace', refused, '> 0', refused > 0)
    report.check('other failures', others.join(', ') || 'none', 'none', others.length === 0)
    report.check('written when there was room again', result.writtenLate, '> 0', result.writtenLate > 0)
    report.history(result.violations)
  }
  return report.print('disk: full for 10 s')
}

async function slowDisk(directory: string, seconds: number): Promise<boolean> {
  const resultPath = join(directory, 'slow.json')
  const settings: DiskSettings = { dsn: `sqlite://${directory}/slow.db`, seconds: seconds + 15, valueBytes: 1000, resultPath }
  const trace = join(directory, 'trace')
  const inject = `inject=fdatasync,fsync:delay_enter=${seconds * 1e6}:when=300`
  const strace = [
    '-f',
    '-e',
    'trace=fdatasync,fsync',
    '-e',
    inject,
    '-o',
    trace,
    process.execPath,
    '--conditions=@k3s/source',
    member,
    JSON.stringify(settings),
  ]
  const how = await run('strace', strace)
  const report = new RunReport()
  report.check('the process', how, 'lives', how === 'exit code 0')
  const result = readResult(resultPath)
  if (result !== undefined) {
    noteResult(report, result)
    report.check(
      'slowest write, s',
      (result.slowestWriteMs / 1000).toFixed(1),
      `about ${seconds}: it waits for its fdatasync`,
      result.slowestWriteMs > seconds * 900,
    )
    report.check('written in the second half', result.writtenLate, '> 0', result.writtenLate > 0)
    const failed = Object.keys(result.failures).join(', ')
    report.check('failed writes', failed || 'none', 'none', failed === '')
    report.check('slowest read, ms', result.slowestReadMs.toFixed(0), '<= 250', result.slowestReadMs <= 250)
    report.history(result.violations)
  }
  return report.print(`disk: an fdatasync of ${seconds} s`)
}

function noteResult(report: RunReport, result: DiskResult): void {
  report.note('written', result.written)
  report.note('failures', JSON.stringify(result.failures))
  report.note('reads', `${result.reads}, p99 ${result.readP99Ms.toFixed(1)} ms, slowest ${result.slowestReadMs.toFixed(0)} ms`)
  report.check('failed reads', result.failedReads, '0', result.failedReads === 0)
}

function readResult(path: string): DiskResult | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as DiskResult // what disk-member.ts writes
  } catch {
    return undefined // it did not live to tell; the report says so
  }
}

function run(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { stdio: ['ignore', 'inherit', 'inherit'] })
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
  })
}
