import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, expect, test, vi } from 'vitest'
import { pipeBoth } from './pipe.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** Both ends of a TCP connection. */
async function pair(): Promise<readonly [Socket, Socket]> {
  const { promise, resolve } = Promise.withResolvers<Socket>()
  const server = createServer({ allowHalfOpen: true }, resolve)
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const near = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true })
  const far = await promise
  near.on('error', () => {})
  far.on('error', () => {})
  return [near, far]
}

async function joined(signal?: AbortSignal) {
  const [left, leftInner] = await pair()
  const [right, rightInner] = await pair()
  return { left, right, inner: [leftInner, rightInner], over: pipeBoth(leftInner, rightInner, signal) }
}

test('the end of one direction leaves the other open', async () => {
  const { left, right, over } = await joined()
  left.end('question')
  expect(await text(right)).toBe('question')
  right.end('answer')
  expect(await text(left)).toBe('answer')
  await over
})

test('what was sent before the end arrives though the sender is gone and the receiver slow', async () => {
  const { left, right, over } = await joined()
  right.end(Buffer.alloc(5_000_000))
  await vi.waitFor(() => expect(left.readableLength).toBeGreaterThan(0))
  let size = 0
  for await (const chunk of left) size += (chunk as Buffer).length
  left.end()
  expect(size).toBe(5_000_000)
  await over
})

test('a side that breaks takes the other with it', async () => {
  const { left, right, inner, over } = await joined()
  right.resume()
  left.resetAndDestroy()
  await over
  expect(inner.map(({ destroyed }) => destroyed)).toEqual([true, true])
})

test('an abort ends both', async () => {
  const stop = new AbortController()
  const { left, right, over } = await joined(stop.signal)
  left.resume()
  right.resume()
  stop.abort()
  await over
  await vi.waitFor(() => expect([left.readableEnded || left.destroyed, right.readableEnded || right.destroyed]).toEqual([true, true]))
  left.destroy()
  right.destroy()
})
