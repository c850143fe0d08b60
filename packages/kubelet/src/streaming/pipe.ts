import type { Duplex } from 'node:stream'

/**
 * Joins two sockets until both are closed: the end of one direction is passed on while the other goes on, back-pressure
 * works both ways, and when one breaks the other is destroyed. Bytes that one sent before a proper end reach the other
 * even when the first is closed by then. Abort destroys both. Never rejects.
 */
export async function pipeBoth(a: Duplex, b: Duplex, signal?: AbortSignal): Promise<void> {
  const closed = Promise.all([follow(a, b), follow(b, a)])
  const onAbort = (): void => {
    a.destroy()
    b.destroy()
  }
  if (signal?.aborted === true) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  a.pipe(b)
  b.pipe(a)
  await closed
  signal?.removeEventListener('abort', onAbort)
}

/** Resolves when `source` is closed and what that means was done to `target`. */
function follow(source: Duplex, target: Duplex): Promise<void> {
  return new Promise((resolve) => {
    source.on('error', () => {}) // a close follows
    const onClose = (): void => {
      // Its end has been piped: what is buffered goes out, then there is nobody left to talk to.
      if (source.readableEnded && !target.destroyed) target.end(() => target.destroy())
      else target.destroy()
      resolve()
    }
    if (source.destroyed) onClose()
    else source.once('close', onClose)
  })
}
