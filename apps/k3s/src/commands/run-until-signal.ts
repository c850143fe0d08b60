import { rootsOf } from '../explain.ts'

/**
 * Gives `work` a signal that SIGTERM and SIGINT abort, with `verb` and the signal's name as the reason, and keeps the process until it has settled.
 * A second one ends the process at once.
 */
export async function withStopSignal(verb: string, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController()
  const onSignal = (name: NodeJS.Signals): void => {
    // Grace was given by the first one; whoever asks twice does not want to wait for it.
    if (stop.signal.aborted) process.exit(1)
    stop.abort(new Error(`${verb} ${name}`))
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  // What it waits for may hold no handle: a service that only waits, or a thread that is idle for the moment.
  const keep = setInterval(() => {}, 2 ** 30)
  try {
    await work(stop.signal)
  } finally {
    clearInterval(keep)
    process.off('SIGTERM', onSignal)
    process.off('SIGINT', onSignal)
  }
}

/** Runs `work` until SIGTERM or SIGINT, as {@link withStopSignal} does; being stopped, in the middle of a start too, is no failure. */
export async function runUntilSignal(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  await withStopSignal('Received', async (signal) => {
    try {
      await work(signal)
    } catch (error) {
      if (!signal.aborted || rootsOf(error).some((root) => root !== signal.reason)) throw error
    }
  })
}
