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

/** Requests that came by a socket go to the front at once: Fastify, which has one route for everything, makes those that come by none. */
export function createRequestHandler(front: HttpFront): RequestHandler {
  let app: FastifyInstance | undefined
  const opened = (): FastifyInstance => (app ??= createApp(front))
  return {
    handle: (request, response) => void front.handle(request, response), // never rejects
    // One of its overloads: what is passed on is what was given.
    inject: (...given: Parameters<FastifyInstance['inject']>) => opened().inject(...given),
    close: async () => app?.close(),
  }
}

/** One wildcard route: the server's own router stands behind it, because paths come and go with the resources that are served. It never listens. */
function createApp(front: HttpFront): FastifyInstance {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    // A path that cannot be decoded still gets a Status from us.
    frameworkErrors: (_error, request, reply) => {
      reply.hijack()
      void front.handle(request.raw, reply.raw) // never rejects
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
    method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: '*',
    handler: (request, reply) => {
      reply.hijack()
      return front.handle(request.raw, reply.raw)
    },
  })
  return app
}
