import { randomUUID } from 'node:crypto'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describeDatastore } from '../src/conformance/index.ts'
import type { SubjectOptions } from '../src/conformance/subject.ts'
import type { Datastore } from '../src/contract.ts'
import { serveEtcd } from '../src/etcd-server/index.ts'
import { openDatastore } from '../src/index.ts'

/** A datastore of ours behind our server, through our driver for etcd. Disposing of it disposes of all three. */
async function openThroughServer(dsn: string, { limits }: SubjectOptions, dispose: () => void): Promise<Datastore> {
  // The limits are the driver's to keep: the transactions that it makes of writes are a little larger than those.
  const stored = await openDatastore(dsn)
  const server = await serveEtcd({ datastore: stored, listen: { host: '127.0.0.1', port: 0 } })
  const client = await openDatastore(server.url, { limits })
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    await client[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
    await stored[Symbol.asyncDispose]()
    dispose()
  }
  return new Proxy(client, {
    get: (target, name) => {
      if (name === Symbol.asyncDispose) return () => (closing ??= close())
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

for (const driver of ['memory', 'sqlite'])
  describeDatastore(`${driver}, through our etcd server and our driver for etcd`, {
    create: async (options) => {
      if (driver === 'memory') return openThroughServer('memory:', options, () => {})
      const path = join(tmpdir(), `etcd-server-${randomUUID()}.db`)
      return openThroughServer(`sqlite://${path}`, options, () => {
        for (const suffix of ['', '-wal', '-shm', '.lock']) rmSync(`${path}${suffix}`, { force: true })
      })
    },
    supports: { restart: false, clock: false },
    modelRuns: 10,
  })
