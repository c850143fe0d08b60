/** A process between members and their database: every so often it holds bytes back, in order, and so delays commits. Usage: proxy.ts '{"target":PORT,"maxDelayMs":N}' */
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** Of pieces that arrive; most pass at once, so that the whole still makes progress. */
const delayedShare = 0.05

const { target, maxDelayMs } = JSON.parse(process.argv[2] ?? '{}') as { readonly target: number; readonly maxDelayMs: number } // what startChild passes

function pass(from: Socket, to: Socket): void {
  let last = Promise.resolve()
  from.on('data', (piece) => {
    const delayMs = Math.random() < delayedShare ? Math.random() * maxDelayMs : 0
    const arrived = performance.now()
    last = last.then(async () => {
      const rest = arrived + delayMs - performance.now()
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest))
      to.write(piece)
    })
  })
  from.on('error', () => to.destroy())
  from.on('close', () => void last.then(() => to.destroy()))
}

const server = createServer((client) => {
  const database = connect({ host: '127.0.0.1', port: target, noDelay: true })
  client.setNoDelay(true)
  pass(client, database)
  pass(database, client)
})
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port })) // listens on TCP
// Whoever started it is gone.
process.on('disconnect', () => process.exit())
