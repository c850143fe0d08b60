/** A long-lived part of the process. Constructors do no I/O; `run` owns everything it opens. */
export interface Service {
  readonly name: string
  /** Runs until `signal` aborts, then releases what it holds and resolves. Calls `ready` once. An abort is not a failure. */
  run(options: { readonly signal: AbortSignal; readonly ready: () => void }): Promise<void>
}

/**
 * Runs services until `signal` aborts or one of them ends.
 *
 * They start in order, each after the one before it is ready, and stop in reverse order, each after the one behind it has ended.
 * Resolves when all have ended after an abort. A service that throws, or ends before the abort, stops all others;
 * then one `AggregateError` is thrown that holds every failure in the order in which they came.
 *
 * @param onReady called once, when the last service is ready.
 */
export async function runAll(services: readonly Service[], signal: AbortSignal, onReady: () => void = () => {}): Promise<void> {
  const failures: unknown[] = []
  const running: { readonly stop: AbortController; readonly ended: Promise<void> }[] = []
  const stopping = Promise.withResolvers<void>()
  const onAbort = (): void => stopping.resolve()
  if (signal.aborted) stopping.resolve()
  signal.addEventListener('abort', onAbort, { once: true })
  let isStopping = signal.aborted
  void stopping.promise.then(() => (isStopping = true)) // never rejects
  try {
    for (const service of services) {
      if (isStopping) break
      const stop = new AbortController()
      const ready = Promise.withResolvers<void>()
      const ended = service.run({ signal: stop.signal, ready: ready.resolve }).then(
        () => {
          if (!stop.signal.aborted) failures.push(new Error(`Service "${service.name}" ended by itself`))
          stopping.resolve()
        },
        (cause: unknown) => {
          failures.push(new Error(`Service "${service.name}" failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause }))
          stopping.resolve()
        },
      )
      running.push({ stop, ended })
      await Promise.race([ready.promise, stopping.promise])
      // Lets the handler above note a stop that came together with readiness.
      await Promise.resolve()
    }
    if (!isStopping) onReady()
    await stopping.promise
  } finally {
    signal.removeEventListener('abort', onAbort)
    for (const { stop, ended } of running.toReversed()) {
      stop.abort(signal.aborted ? signal.reason : new Error('Another service ended'))
      await ended
    }
  }
  if (failures.length > 0)
    throw new AggregateError(failures, failures.map((failure) => (failure instanceof Error ? failure.message : String(failure))).join('; '))
}
