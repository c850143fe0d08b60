import { randomInt } from 'node:crypto'
import { createServer, type Server } from 'node:net'

/**
 * Different ports of loopback that nobody listens on at the moment, below those that the system gives to connections (32768 and up):
 * a server that is down for a while must find its own free when it comes back.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  // Held until all are found, so that no two are the same.
  const held: { readonly port: number; readonly server: Server }[] = []
  while (held.length < count) {
    const port = randomInt(10_000, 30_000)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (isFree) held.push({ port, server })
  }
  await Promise.all(held.map(({ server }) => new Promise((resolve) => server.close(resolve))))
  return held.map(({ port }) => port)
}
