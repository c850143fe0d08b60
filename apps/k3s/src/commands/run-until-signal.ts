import { rootsOf } from '../explain.ts'

/**
 * Runs until SIGTERM or SIGINT, which abort the signal that `work` gets. A second one ends the process at once.
 */
export async function runUntilSignal(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) process.exit(1)
    stop.abort(new Error(`Received ${name}`))
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  // A service that only waits holds no handle: this one keeps the process until its work is done.
  const keep = setInterval(() => {}, 2 ** 30)
  try {
    await work(stop.signal)
  } catch (error) {
    // A stop in the middle of a start is no failure.
    if (!stop.signal.aborted || rootsOf(error).some((root) => root !== stop.signal.reason)) throw error
  } finally {
    clearInterval(keep)
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
}
