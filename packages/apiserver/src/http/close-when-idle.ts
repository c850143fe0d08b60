import type { ServerHttp2Session } from 'node:http2'

// Upstream's: a client that asks nothing for this long connects anew when it has a question.
const defaultIdleMs = 90_000

/** Tells the client of an HTTP/2 session to go when it had no stream open for `idleMs`: sessions are memory, and anybody may open them. */
export function closeWhenIdle(session: ServerHttp2Session, idleMs: number = defaultIdleMs): void {
  let open = 0
  const timer = setTimeout(() => {
    if (open === 0) session.close()
  }, idleMs).unref()
  session.on('stream', (stream) => {
    open++
    stream.once('close', () => {
      open--
      if (open === 0 && !session.closed) timer.refresh()
    })
  })
  session.once('close', () => clearTimeout(timer))
}
