import { connect, createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { closeWhenIdle } from './close-when-idle.ts'

it('closes a session without streams, and not one with a silent stream', async () => {
  const server = createServer((request, response) => {
    if (request.url === '/short') response.end()
    else response.write('x')
  })
  server.on('session', (session) => closeWhenIdle(session, 50))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}` // it listens on TCP
  const [idle, busy] = [connect(url), connect(url)]
  onTestFinished(() => {
    idle.destroy()
    busy.destroy()
    server.close()
  })
  const closed = new Promise((resolve) => idle.once('close', resolve))
  idle.request({ ':path': '/short' }).resume()
  const silent = busy.request({ ':path': '/long' })
  await new Promise((resolve) => silent.once('data', resolve))
  await closed
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(busy.closed || silent.closed).toBe(false)
  const gone = new Promise((resolve) => busy.once('close', resolve))
  silent.close()
  await gone
})
