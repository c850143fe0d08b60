import { readdirSync, readFileSync } from 'node:fs'

/** Stops a process with all its threads, and returns once they have stopped: until then another processor may still run one of them. One that has ended is let be. */
export function freeze(pid: number): void {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  try {
    process.kill(pid, 'SIGSTOP')
    for (const deadline = Date.now() + 30_000; !hasStopped(pid); Atomics.wait(pause, 0, 0, 1))
      if (Date.now() > deadline) throw new Error(`Process ${pid} does not stop`)
  } catch (error) {
    if (!['ENOENT', 'ESRCH'].includes(String((error as NodeJS.ErrnoException).code))) throw error // it has a code when the system says it
  }
}

function hasStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8')
    // The state stands behind the program's name in brackets. T: stopped; Z and X: has ended.
    return 'TZX'.includes(stat.charAt(stat.lastIndexOf(')') + 2))
  })
}
