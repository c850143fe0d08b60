import { once } from 'node:events'
import { connect, createServer, type ClientHttp2Session, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { http2Exchange } from './http2-exchange.ts'

type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void

async function withServer(handler: Handler, use: (client: ClientHttp2Session) => Promise<void>): Promise<void> {
  const server = createServer({ ...http2Exchange }, handler)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // it listens on a port
  const client = connect(`http://127.0.0.1:${port}`)
  try {
    await use(client)
  } finally {
    client.destroy()
    server.close()
  }
}

const ask = async (
  client: ClientHttp2Session,
  headers: Record<string, string>,
  body?: string,
): Promise<{ readonly status: number | undefined; readonly headers: Readonly<Record<string, unknown>>; readonly text: string }> => {
  const stream = client.request(headers)
  const answered = once(stream, 'response')
  if (headers['expect'] !== undefined) await once(stream, 'continue')
  if (headers[':method'] !== 'CONNECT') stream.end(body)
  const [answer] = (await answered) as [Record<string, unknown> & { ':status'?: number }] // what the event has
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return { status: answer[':status'], headers: answer, text }
}

const echo: Handler = (request, response) => {
  const answer = async (): Promise<void> => {
    let text = ''
    for await (const chunk of request) text += String(chunk)
    response.setHeader('x-path', request.url)
    response.writeHead(201, { 'x-method': request.method }).end(`${String(request.headers['x-name'])} sent ${text}`)
  }
  void answer()
}

it('gives a request with its body, and sends headers and body of the answer', async () => {
  await withServer(echo, async (client) => {
    const answer = await ask(client, { ':method': 'POST', ':path': '/a?b=c', 'x-name': 'somebody' }, 'words')
    expect(answer).toMatchObject({ status: 201, headers: { 'x-path': '/a?b=c', 'x-method': 'POST' }, text: 'somebody sent words' })
  })
})

it('lets a client send its body that asks first', async () => {
  await withServer(echo, async (client) => {
    const answer = await ask(client, { ':method': 'POST', ':path': '/', 'x-name': 'who asks', expect: '100-continue' }, 'words')
    expect(answer).toMatchObject({ status: 201, text: 'who asks sent words' })
  })
})

it('answers when it has read a part of the body only', async () => {
  const refuse: Handler = (request, response) => {
    const answer = async (): Promise<void> => {
      for await (const _ of request) break
      response.writeHead(413).end('too long')
    }
    void answer()
  }
  await withServer(refuse, async (client) => {
    expect(await ask(client, { ':method': 'POST', ':path': '/' }, 'words')).toMatchObject({ status: 413, text: 'too long' })
  })
})

it('refuses to be a tunnel', async () => {
  await withServer(echo, async (client) => {
    expect(await ask(client, { ':method': 'CONNECT', ':authority': 'elsewhere:1' })).toMatchObject({ status: 405, text: '' })
  })
})

it('tells when its client has gone, and then sends nothing', async () => {
  const gone = Promise.withResolvers<Http2ServerResponse>()
  const begun = Promise.withResolvers<void>()
  const wait: Handler = (_request, response) => {
    response.once('close', () => gone.resolve(response))
    begun.resolve()
  }
  await withServer(wait, async (client) => {
    const stream = client.request({ ':method': 'GET', ':path': '/' })
    stream.on('error', () => {})
    await begun.promise
    client.destroy()
    const response = await gone.promise
    expect([response.destroyed, response.headersSent]).toEqual([true, false])
    response.writeHead(200).end('nobody hears this')
    expect(response.headersSent).toBe(false)
  })
})
