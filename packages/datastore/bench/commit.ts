/**
 * Creates and updates a second, with values of 1,000 bytes, each answered when it is on disk. In-process figures: no network, no gRPC.
 *
 *     node --conditions=@k3s/source bench/commit.ts [DSN] [CLIENTS] [WRITES]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openDatastore } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'

const directory = mkdtempSync(join(process.cwd(), '.bench-'))
const dsn = process.argv[2] ?? `sqlite://${join(directory, 'bench.db')}`
const clients = Number(process.argv[3] ?? 64)
const writes = Number(process.argv[4] ?? 60_000)
const value = Buffer.alloc(1000, 'v')

async function measure(name: string, operation: (store: Datastore, index: number) => Promise<unknown>, store: Datastore): Promise<void> {
  const latencies: number[] = []
  let next = 0
  const begin = performance.now()
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (next < writes) {
        const index = next++
        const start = performance.now()
        await operation(store, index)
        latencies.push(performance.now() - start)
      }
    }),
  )
  const seconds = (performance.now() - begin) / 1000
  latencies.sort((a, b) => a - b)
  const at = (part: number): string => (latencies[Math.floor(latencies.length * part)] ?? 0).toFixed(1)
  console.log(
    `${name.padEnd(8)} ${Math.round(writes / seconds)
      .toLocaleString('en')
      .padStart(8)}/s  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  max ${at(0.9999)} ms`,
  )
}

try {
  const begin = performance.now()
  await using store = await openDatastore(dsn)
  console.log(`open ${(performance.now() - begin).toFixed(0)} ms, ${clients} clients, ${writes.toLocaleString('en')} writes`)
  const keyOf = (index: number): Buffer => Buffer.from(`/registry/pods/default/${(index * 7919) % writes}`)
  await measure('create', (store, index) => store.create(keyOf(index), value), store)
  await measure('update', (store, index) => store.update(keyOf(index), value), store)
  await measure('get', (store, index) => store.get(keyOf(index)), store)
  const lists = 200
  const start = performance.now()
  for (let index = 0; index < lists; index++)
    await store.list({ start: keyOf(index), end: Buffer.from('/registry/pods/default0') }, { limit: 500 })
  console.log(
    `list 500 ${Math.round((lists / (performance.now() - start)) * 1000)
      .toLocaleString('en')
      .padStart(8)}/s`,
  )
  const { sizeBytes } = await store.status()
  console.log(`${(sizeBytes / 2 ** 20).toFixed(0)} MiB on disk, ${(process.memoryUsage.rss() / 2 ** 20).toFixed(0)} MiB resident`)
} finally {
  rmSync(directory, { recursive: true })
}
