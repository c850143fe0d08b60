import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Host, HostProcess } from '@k3s/hosts'
import { program, until, type Member } from './cluster.ts'

/** The k3s process itself, as the caller's machine numbers it: what was spawned only entered the host. Undefined once it ended. */
export function programPid({ pid }: HostProcess): number | undefined {
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    return child === undefined || child === '' ? undefined : Number(child)
  } catch {
    return undefined // it ended
  }
}

/** Sends a signal to a member's k3s and waits for its end. Gives its exit code, or the signal that ended it. */
export async function end(member: Member, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | string> {
  const pid = programPid(member.process)
  if (pid === undefined) throw new Error(`k3s on "${member.host.name}" does not run`)
  process.kill(pid, signal)
  return member.process.exited
}

/** What a start that fails says on standard error, without log lines; with its exit code. */
export async function complaint(
  host: Host,
  args: readonly string[],
  timeoutMs?: number,
): Promise<{ readonly code: number; readonly text: string }> {
  const { code, stderr } = await host.exec(program, args, { timeoutMs })
  return {
    code,
    text: stderr
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('{'))
      .join('\n'),
  }
}

/** Waits for a log message that contains `text`. */
export async function waitForLog(member: Member, text: string, from = 0): Promise<void> {
  await until(`${member.host.name} logs "${text}"`, async () =>
    (await readFile(member.logFile)).subarray(from).includes(text) ? true : undefined,
  )
}

/** What tells that a pod's containers are the same ones as before. */
export interface PodIdentity {
  readonly uid: string
  readonly podIP: string
  readonly containers: readonly { readonly id: string; readonly restarts: number; readonly startedAt: string }[]
}

/** Reads the identity from a pod's JSON. */
export function identityOf(json: string): PodIdentity {
  const pod = JSON.parse(json) as {
    metadata: { uid: string }
    status: {
      podIP: string
      containerStatuses: { containerID: string; restartCount: number; state: { running?: { startedAt: string } } }[]
    }
  } // a pod that runs has all of these
  return {
    uid: pod.metadata.uid,
    podIP: pod.status.podIP,
    containers: pod.status.containerStatuses.map(({ containerID, restartCount, state }) => ({
      id: containerID,
      restarts: restartCount,
      startedAt: state.running?.startedAt ?? 'not running',
    })),
  }
}

/** Polls an assertion until it holds. */
export async function eventually(what: string, assertion: () => Promise<void>, timeoutMs?: number): Promise<void> {
  await until(
    what,
    async () => {
      await assertion()
      return true
    },
    timeoutMs,
  )
}
