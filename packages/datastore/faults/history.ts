import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore, prefixRange } from '@k3s/datastore'
import type { Datastore } from '@k3s/datastore'
import { readOptions } from './options.ts'
import { quantile, RunReport } from './report.ts'

const mebibyte = 2 ** 20
const value = Buffer.alloc(1000, 'v')
const objects = prefixRange(Buffer.from('/objects/'))

/**
 * Many updates of few keys beside some hundred that stand still: what a cluster's leases do to a datastore. History is compacted as Kubernetes does,
 * what is older than five minutes, here than so many revisions; or, with --keep 0, not before the end.
 */
export async function history(args: readonly string[]): Promise<boolean> {
  const { updates, keys, clients, keep, folder } = readOptions(args, {
    updates: 1_000_000,
    keys: 50,
    clients: 64,
    keep: 100_000,
    folder: process.cwd(),
  })
  const directory = mkdtempSync(join(folder, '.faults-'))
  const path = join(directory, 'history.db')
  const report = new RunReport()
  let largestLog = 0
  const sizes = (): { readonly file: number; readonly log: number } => {
    const sizeOf = (name: string): number => statSync(name, { throwIfNoEntry: false })?.size ?? 0
    const log = sizeOf(`${path}-wal`)
    largestLog = Math.max(largestLog, log)
    return { file: sizeOf(path), log }
  }
  const watching = setInterval(sizes, 20)
  try {
    await using store = await openDatastore(`sqlite://${path}`)
    await writeObjects(store)
    const begin = performance.now()
    const seconds = (): number => (performance.now() - begin) / 1000
    const [quiet, compacting]: [number[], number[]] = [[], []]
    let [next, nextLine, compacted, isCompacting] = [0, 5, 0, false]
    await Promise.all(
      Array.from({ length: clients }, async () => {
        while (next < updates) {
          const update = next++
          const start = performance.now()
          const { revision } = await store.update(Buffer.from(`/leases/${update % keys}`), value)
          ;(isCompacting ? compacting : quiet).push(performance.now() - start)
          if (keep > 0 && revision - compacted > 2 * keep) {
            compacted = revision - keep
            isCompacting = true
            await store.compact(compacted)
          }
          if (seconds() >= nextLine) {
            nextLine += 5
            const { file, log } = sizes()
            console.log(
              `${seconds().toFixed(0)} s: ${next} updates, file ${(file / mebibyte).toFixed(0)} MiB, log ${(log / mebibyte).toFixed(0)} MiB`,
            )
          }
        }
      }),
    )
    report.note('updates a second', (updates / seconds()).toFixed(0))
    report.note(
      'write p50 and p99 before the first compaction, ms',
      `${quantile(quiet, 0.5).toFixed(1)}, ${quantile(quiet, 0.99).toFixed(1)}`,
    )
    report.note('write p50 and p99 from then on, ms', `${quantile(compacting, 0.5).toFixed(1)}, ${quantile(compacting, 0.99).toFixed(1)}`)
    const [worstQuiet, worst] = [quantile(quiet, 1), quantile(compacting, 1)]
    report.note('slowest write before it, ms', worstQuiet.toFixed(0))
    report.check('slowest write beside compaction, ms', worst.toFixed(0), '<= 250 more than before it', !(worst - worstQuiet > 250))
    await store.compact(await store.currentRevision())
    const live = (500 + keys) * (value.length + 20)
    const bound = 2 * live + 16 * mebibyte
    const end = performance.now()
    while (sizes().file > bound && performance.now() - end < 60_000) {
      await delay(100)
      // A server is never quite idle.
      await store.update(Buffer.from('/leases/0'), value)
    }
    const { file } = sizes()
    const took = ((performance.now() - end) / 1000).toFixed(1)
    report.check(
      'file after the last compaction, MiB',
      `${(file / mebibyte).toFixed(1)} after ${took} s`,
      `<= ${(bound / mebibyte).toFixed(1)} within 60 s`,
      file <= bound,
    )
    report.check('largest write-ahead log, MiB', (largestLog / mebibyte).toFixed(1), '<= 64', largestLog <= 64 * mebibyte)
    // Beside a store of the same keys that never had a history, in turns: a machine is not as fast at all times.
    await using fresh = await openDatastore(`sqlite://${join(directory, 'fresh.db')}`)
    await writeObjects(fresh)
    for (let key = 0; key < keys; key++) await fresh.update(Buffer.from(`/leases/${key}`), value)
    const [after, before] = await listMs([store, fresh])
    report.check(
      'list of 500 keys, ms',
      `${after?.toFixed(2)}, on an empty history ${before?.toFixed(2)}`,
      '<= 1.5 times',
      after !== undefined && before !== undefined && after <= 1.5 * before,
    )
  } finally {
    clearInterval(watching)
    rmSync(directory, { recursive: true })
  }
  return report.print(`history: ${updates} updates of ${keys} keys`)
}

async function writeObjects(store: Datastore): Promise<void> {
  for (let object = 0; object < 500; object++) await store.create(Buffer.from(`/objects/${object}`), value)
}

/** For each store the median of a list of all objects, after some to warm up. */
async function listMs(stores: readonly Datastore[]): Promise<readonly number[]> {
  const figures: readonly number[][] = stores.map(() => [])
  for (let list = 0; list < 600; list++)
    for (const [index, store] of stores.entries()) {
      const start = performance.now()
      await store.list(objects)
      if (list >= 100) figures[index]?.push(performance.now() - start)
    }
  return figures.map((each) => quantile(each, 0.5))
}
