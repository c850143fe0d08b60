import { spawn } from 'node:child_process'
import { open, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import type { Clock } from '@k3s/lifecycle'

/** What is known about a containerd that was started, kept in its pid file so that a later server finds it. */
export interface ContainerdRecord {
  readonly pid: number
  /** In clock ticks since boot: with the pid it names one process and no other. */
  readonly startTime: string
  /** Of the configuration that it was started with. */
  readonly configHash: string
}

export interface StartOptions {
  readonly binary: string
  readonly arguments: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly logPath: string
}

// What K3s and the kubelet give to the daemons that everything hangs on.
const oomScoreAdj = -999

/**
 * Starts a program in a session of its own with its output appended to a file, so that it outlives us. Gives its pid;
 * throws when it cannot be executed.
 */
export async function startDetached({ binary, arguments: args, env, logPath }: StartOptions): Promise<number> {
  const log = await open(logPath, 'a', 0o640)
  try {
    const child = spawn(binary, args, { detached: true, cwd: '/', env, stdio: ['ignore', log.fd, log.fd] })
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve)
      child.once('error', reject)
    })
    child.on('error', () => {}) // only a failed kill() of this object, which is never called
    child.unref()
    const { pid } = child
    if (pid === undefined) throw new Error(`Cannot start "${binary}"`)
    // Not allowed without CAP_SYS_RESOURCE, in containers for one: it then has our own score.
    await writeFile(`/proc/${pid}/oom_score_adj`, String(oomScoreAdj)).catch(() => {})
    return pid
  } finally {
    await log.close()
  }
}

/** The start time of a process in clock ticks since boot; `undefined` when there is none, or only its zombie. */
export async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The name in parentheses may hold spaces and parentheses; the state is field 3, the start time field 22.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

/** Whether the recorded process still runs. */
export async function isAlive({ pid, startTime }: ContainerdRecord): Promise<boolean> {
  return (await startTimeOf(pid)) === startTime
}

/** Reads a pid file; `undefined` when it is absent or broken. */
export async function readRecord(path: string): Promise<ContainerdRecord | undefined> {
  try {
    const { pid, startTime, configHash } = JSON.parse(await readFile(path, 'utf8')) as Partial<Record<string, unknown>> // checked below
    if (typeof pid !== 'number' || typeof startTime !== 'string' || typeof configHash !== 'string') return undefined
    return { pid, startTime, configHash }
  } catch {
    return undefined // then nothing can be adopted, and the socket tells whether anyone is there
  }
}

/** The process that was started with these arguments, whatever started it; `undefined` when there is none. */
export async function findProcess(
  binary: string,
  args: readonly string[],
): Promise<Pick<ContainerdRecord, 'pid' | 'startTime'> | undefined> {
  const wanted = [binary, ...args, ''].join('\0')
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '') // it ended meanwhile
    const startTime = command === wanted ? await startTimeOf(Number(name)) : undefined
    if (startTime !== undefined) return { pid: Number(name), startTime }
  }
  return undefined
}

/** Replaces a file in one step. */
export async function writeWhole(path: string, text: string, mode = 0o600): Promise<void> {
  await writeFile(`${path}.tmp`, text, { mode })
  await rename(`${path}.tmp`, path)
}

/** Sends SIGTERM, after `graceMs` SIGKILL, and waits until the process is gone. */
export async function terminate(record: ContainerdRecord, graceMs: number, clock: Clock): Promise<void> {
  const deadline = clock.monotonic() + graceMs
  signalTo(record.pid, 'SIGTERM')
  let isKilled = false
  while (await isAlive(record)) {
    if (!isKilled && clock.monotonic() > deadline) {
      signalTo(record.pid, 'SIGKILL')
      isKilled = true
    }
    await clock.sleep(20)
  }
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended by itself, which is what was wanted.
  }
}
