import { createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import { systemClock } from '@k3s/lifecycle'
import { afterEach, describe, expect, it } from 'vitest'
import { certificates } from '../../test/certificates.ts'
import { openHttp2 } from './http2-connection.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup()
})

async function connectTo(onStream: (stream: ServerHttp2Stream) => void) {
  const server = createSecureServer({ key: certificates.serverKey, cert: certificates.serverCert }).on('stream', onStream)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // listens on TCP
  const socket = connect({ port, host: '127.0.0.1', ca: certificates.ca, ALPNProtocols: ['h2'] })
  await new Promise((resolve) => socket.once('secureConnect', resolve))
  const connection = await openHttp2({
    origin: `https://127.0.0.1:${port}`,
    socket,
    clock: systemClock,
    pingIntervalMs: 30_000,
    pingTimeoutMs: 15_000,
  })
  cleanups.push(() => {
    connection.destroy()
    server.close()
  })
  return connection
}

const request = { method: 'POST', path: '/', headers: {}, body: Buffer.from('{}'), signal: undefined }

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

describe('openHttp2()', () => {
  it('gives the whole body of an answer that is read after its stream was closed', async () => {
    const closed = Promise.withResolvers<void>()
    const connection = await connectTo((stream) => {
      stream.resume().on('end', () => {
        stream.respond({ ':status': 200 })
        stream.end('all of it')
      })
      stream.on('close', () => closed.resolve())
    })
    const { status, body } = await connection.send(request)
    await closed.promise
    // The client's side closes with the next answer of the session.
    await textOf((await connection.send(request)).body)
    expect({ status, text: await textOf(body) }).toEqual({ status: 200, text: 'all of it' })
  })

  it('throws where a body was cut short', async () => {
    const connection = await connectTo((stream) => {
      stream.on('error', () => {})
      stream.respond({ ':status': 200 })
      stream.write('part of it', () => stream.session?.destroy())
    })
    const { body } = await connection.send(request)
    await expect(textOf(body)).rejects.toThrow('closed before its end')
  })

  it('takes no more requests once it is retired, and ends those that run', async () => {
    const answer = Promise.withResolvers<void>()
    const connection = await connectTo((stream) => {
      stream.respond({ ':status': 200 })
      void answer.promise.then(() => stream.end('late'))
    })
    const { body } = await connection.send(request)
    connection.retire()
    expect(connection.isUsable).toBe(false)
    await expect(connection.send(request)).rejects.toMatchObject({ name: 'NotSent' })
    answer.resolve()
    expect(await textOf(body)).toBe('late')
  })
})
