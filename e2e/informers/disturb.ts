import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiTransport } from '@k3s/client'
import { until } from '../src/cluster.ts'
import type { ApiProcess } from './api-process.ts'
import type { FaultProxy } from './fault-proxy.ts'
import type { Kind } from './kinds.ts'
import type { Writer } from './writer.ts'

/** What an informer has: resource versions by `namespace/name`. */
export type Cache = Readonly<Record<string, string>>

/** Informers of some client, which reach the server through the proxy. */
export interface Informers {
  /** By the name of the informer, which begins with its kind's: `pods` or `pods, metadata`. */
  caches(): Promise<Readonly<Record<string, Cache>>>
  /** What must not have happened: events that went back, informers that ended. */
  complaints(): Promise<readonly string[]>
}

export interface Scene {
  readonly server: ApiProcess
  readonly proxy: FaultProxy
  readonly writer: Writer
  readonly kinds: readonly Kind[]
  /** Writes that are answered before a disturbance, and after it. */
  readonly writes: number
  /** How long a freeze lasts, and until when caches must be right again. */
  readonly times: { readonly freezeMs: number; readonly syncMs: number }
}

/** What is done to connections and server while objects churn. */
export const disturbances: Readonly<Record<string, (scene: Scene) => Promise<void>>> = {
  'nothing happens': async () => {},
  'connections are cut': async ({ proxy }) => proxy.cut(),
  'connections freeze and go on': async ({ proxy, times }) => {
    proxy.freeze()
    await sleep(times.freezeMs)
    proxy.thaw()
  },
  'connections freeze and are cut': freezeAndCut,
  'the server is ended and started': async ({ server }) => {
    await server.end('SIGTERM')
    await server.begin()
  },
  'the server is killed and started': async ({ server }) => {
    await server.end('SIGKILL')
    await server.begin()
  },
}

/** Informers are away for a while, and may be told that what they missed is compacted. */
export async function freezeAndCut({ proxy, times }: Scene): Promise<void> {
  proxy.freeze()
  await sleep(times.freezeMs)
  proxy.cut()
  proxy.thaw()
}

/** Disturbs while objects churn; then the caches must come to what a quorum list says, in time. Gives how many writes were answered. */
export async function disturbAndCheck(scene: Scene, informers: Informers, disturb: (scene: Scene) => Promise<void>): Promise<number> {
  const { writer, writes, times, server, kinds } = scene
  const began = writer.answered
  const stop = new AbortController()
  const writing = writer.write(stop.signal)
  try {
    await untilWritten(writer, began + writes)
    await disturb(scene)
    await untilWritten(writer, writer.answered + writes)
  } finally {
    stop.abort()
    await writing
  }
  const answered = writer.answered - began
  await until(
    'the caches are what the server has',
    async () => {
      const differences = differencesOf(await truth(server.transport, kinds), await informers.caches())
      if (differences.length > 0) throw new Error(differences.slice(0, 10).join('\n'))
      return true
    },
    times.syncMs,
  )
  const complaints = await informers.complaints()
  if (complaints.length > 0) throw new Error(complaints.slice(0, 10).join('\n'))
  return answered
}

const untilWritten = (writer: Writer, count: number): Promise<true> =>
  until(`${count} writes are answered`, async () => (writer.answered >= count ? true : undefined))

async function truth(transport: ApiTransport, kinds: readonly Kind[]): Promise<Readonly<Record<string, Cache>>> {
  const lists = kinds.map(async ({ name, path }) => {
    // Without a resource version: the newest there is.
    const { body } = await transport.request({ method: 'GET', path })
    const { items } = body as { readonly items: readonly { readonly metadata: Readonly<Record<string, string>> }[] } // a list has items
    return [name, Object.fromEntries(items.map(({ metadata }) => [keyOf(metadata), metadata['resourceVersion'] ?? '']))] as const
  })
  return Object.fromEntries(await Promise.all(lists))
}

/** `namespace/name`. */
export const keyOf = ({ namespace, name }: { readonly namespace?: string | undefined; readonly name?: string | undefined }): string =>
  `${namespace ?? ''}/${name ?? ''}`

/** Each informer against the list of its kind. No informer at all is a difference, too. */
function differencesOf(listed: Readonly<Record<string, Cache>>, cached: Readonly<Record<string, Cache>>): readonly string[] {
  const missing = Object.keys(listed).filter((kind) => !Object.keys(cached).some((name) => kindOf(name) === kind))
  return [
    ...missing.map((kind) => `no informer of ${kind}`),
    ...Object.entries(cached).flatMap(([name, cache]) => {
      const list = listed[kindOf(name)] ?? {}
      return [...new Set([...Object.keys(list), ...Object.keys(cache)])]
        .filter((key) => list[key] !== cache[key])
        .map((key) => `${name} ${key}: listed ${list[key] ?? 'not'}, cached ${cache[key] ?? 'not'}`)
    }),
  ]
}

const kindOf = (name: string): string => name.split(',')[0] ?? ''

/** Finds events that go back: of each key the resource versions must grow. */
export class Monotony {
  readonly complaints: string[] = []
  readonly #last = new Map<string, bigint>()

  see(informer: string, key: string, resourceVersion: string): void {
    const id = `${informer} ${key}`
    const version = BigInt(resourceVersion)
    const last = this.#last.get(id)
    if (last !== undefined && version < last) this.complaints.push(`${id} went back from ${last} to ${version}`)
    this.#last.set(id, version)
  }
}
