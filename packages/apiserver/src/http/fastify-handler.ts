import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import fastify, { type FastifyInstance } from 'fastify'
import type { HttpFront } from './http-front.ts'
import type { HttpRequest, HttpResponse } from './send-answer.ts'

/** Takes requests of node's http, https and http2 servers. */
export interface RequestHandler {
  handle(request: HttpRequest, response: HttpResponse): void
  /** Sends a request without a socket; see Fastify's `inject`. */
  readonly inject: FastifyInstance['inject']
  close(): Promise<void>
}

const methods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** One wildcard route: the server's own router stands behind it, because paths come and go with the resources that are served. */
export async function createRequestHandler(front: HttpFront): Promise<RequestHandler> {
  let handler: ((request: IncomingMessage, response: ServerResponse) => void) | undefined
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    // A path that cannot be decoded still gets a Status from us.
    frameworkErrors: (_error, request, reply) => {
      reply.hijack()
      void front.handle(request.raw, reply.raw) // never rejects
    },
    serverFactory: (own): Server => {
      handler = own
      return createServer() // never listens: listeners belong to our caller
    },
  })
  // A Content-Type that is none is for the handlers to refuse.
  app.setErrorHandler((_error, request, reply) => {
    reply.hijack()
    return front.handle(request.raw, reply.raw)
  })
  // Bodies stay on the stream: each handler knows what to do with its own.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined))
  app.route({
    method: [...methods],
    url: '*',
    handler: (request, reply) => {
      reply.hijack()
      return front.handle(request.raw, reply.raw)
    },
  })
  await app.ready()
  if (handler === undefined) throw new Error('Fastify made no handler')
  const handle = handler
  return {
    // Fastify reads nothing of a request that node's two kinds of it do not both have.
    handle: (request, response) => {
      if (methods.has(request.method ?? '')) handle(request as IncomingMessage, response as ServerResponse)
      else void front.handle(request, response) // HTTP/2 takes any word for a method; never rejects
    },
    // bind() loses the overloads.
    inject: app.inject.bind<FastifyInstance['inject']>(app),
    close: () => app.close(),
  }
}
