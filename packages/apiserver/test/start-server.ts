import { createClient, type Client } from '@k3s/client'
import { openDatastore, type Datastore } from '@k3s/datastore'
import { onTestFinished } from 'vitest'
import { createApiServer, type ApiServer, type ApiServerOptions, type UserInfo } from '../src/index.ts'

export const admin: UserInfo = { name: 'admin', groups: ['system:masters'] }

export interface TestServer {
  readonly server: ApiServer
  readonly datastore: Datastore
  /** As a member of `system:masters`. */
  readonly client: Client
}

/** A server on a datastore in memory, closed with the test. */
export async function startServer(options: Partial<ApiServerOptions> = {}): Promise<TestServer> {
  const datastore = options.datastore ?? (await openDatastore('memory:'))
  const server = await createApiServer({ ...options, datastore })
  onTestFinished(async () => {
    await server.close()
    await datastore[Symbol.asyncDispose]()
  })
  return { server, datastore, client: createClient(server.transport(admin)) }
}

/** Takes `count` items of a stream and leaves it. */
export async function take<T>(stream: AsyncIterable<T>, count: number): Promise<T[]> {
  const items: T[] = []
  if (count === 0) return items
  for await (const item of stream) {
    items.push(item)
    if (items.length === count) break
  }
  return items
}
