/** A member under torture: writers, readers and watchers of one datastore in a process of its own. Usage: worker.ts SETTINGS, a {@link WorkerSettings} as JSON */
import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore } from '@k3s/datastore'
import type { RecordedChange, RecordedRange } from '../src/conformance/recorded.ts'
import { Recorder } from '../src/conformance/recorder.ts'
import { EntryFile, machineMoment } from './entries.ts'

export interface WorkerSettings {
  readonly dsn: string
  /** Of the member. */
  readonly name: string
  /** How often it was started before. */
  readonly incarnation: number
  readonly writers: number
  readonly watchers: readonly { readonly name: string; readonly range: RecordedRange; readonly fromRevision: number }[]
  readonly keys: number
  readonly valueBytes: number
  /** Compacts what is this many revisions old; 0: never. */
  readonly keepRevisions: number
  readonly entriesPath: string
}

/** What it tells its parent, every 100 ms. */
export interface WorkerProgress {
  readonly written: number
  readonly unknown: number
  /** By watcher. */
  readonly reached: Readonly<Record<string, number>>
  /** All calls are answered; watches go on. */
  readonly isStopped: boolean
}

const settings = JSON.parse(process.argv[2] ?? '{}') as WorkerSettings // what startChild passes
const { name, incarnation, valueBytes } = settings
const file = new EntryFile(settings.entriesPath)
const recorder = new Recorder({ now: machineMoment, emit: file.write, idPrefix: `${name}.${incarnation}.`, valueBytes })
const reached: Record<string, number> = {}
let [written, unknown] = [0, 0]
/** Aborted when no further calls are wanted. */
const stopping = new AbortController()
let isStopped = false
process.on('message', () => stopping.abort())
// Whoever started it is gone.
process.on('disconnect', () => process.exit())

const store = await openDatastore(settings.dsn)
if (incarnation > 0) recorder.restarted(name)
const server = { name, store }
const never = new AbortController().signal

for (const watcher of settings.watchers) {
  // Owned by the process, which ends by a kill.
  void recorder
    .client(watcher.name, () => server)
    .follow({
      range: watcher.range,
      fromRevision: watcher.fromRevision,
      signal: never,
      onBatch: (revision) => void (reached[watcher.name] = revision),
      beforeResume: () => delay(50),
    })
}
setInterval(() => process.send?.({ written, unknown, reached, isStopped } satisfies WorkerProgress), 100)

const keyOf = (number: number): string => `k${String(number).padStart(4, '0')}`
const any = (below: number): number => Math.floor(Math.random() * below)

async function write(writer: number): Promise<void> {
  const client = recorder.client(`${name}.writer${writer}`, () => server)
  const known = new Map<string, number>()
  for (let call = 0; !stopping.signal.aborted; call++) {
    const key = keyOf(any(settings.keys))
    const put: RecordedChange = { type: 'put', key, value: `${name}.${incarnation}.${writer}.${call}` }
    const condition = { key, modRevision: known.get(key) ?? 0 }
    const kind = any(100)
    if (kind >= 94) {
      const answer = await client.read(kind === 99 ? { start: keyOf(0), end: keyOf(20) } : { start: key })
      if (answer.type === 'items') for (const item of answer.items) known.set(item.key, item.modRevision)
      continue
    }
    const changes: readonly RecordedChange[] =
      kind < 70
        ? [put]
        : kind < 80
          ? [{ type: 'delete', key }]
          : [...new Set([key, keyOf(any(settings.keys)), keyOf(any(settings.keys))])].map((it) => ({ ...put, key: it }))
    const conditions = kind < 60 || (kind >= 80 && kind < 88) ? [condition] : []
    const answer = await client.write({ conditions, changes })
    if (answer.type === 'written') {
      written++
      for (const change of changes) known.set(change.key, change.type === 'put' ? answer.revision : 0)
      // The one who writes now and then compacts.
      const scribed = reached[`${name}.everything`] ?? 0
      if (settings.keepRevisions > 0 && writer === 0 && call % 500 === 499 && scribed > settings.keepRevisions)
        await client.compact(scribed - settings.keepRevisions)
    } else if (answer.type === 'refused') {
      if (answer.current !== undefined) known.set(key, answer.current?.modRevision ?? 0)
      else known.delete(key)
      if (conditions.length === 0 || answer.current === undefined) {
        const now = await client.read({ start: key })
        if (now.type === 'items') known.set(key, now.items[0]?.modRevision ?? 0)
      }
    } else if (answer.type === 'unknown') {
      unknown++
      await delay(20)
    }
  }
}

/** Leases that are left to end, and some that are renewed once. */
async function lease(): Promise<void> {
  const client = recorder.client(`${name}.lease`, () => server)
  for (let call = 0; !stopping.signal.aborted; call++) {
    const id = `${BigInt(Date.now()) * 4096n + BigInt(process.pid % 4096)}`
    if ((await client.grantLease(id, 3)).type === 'done') {
      const change: RecordedChange = { type: 'put', key: `lease/${name}/${incarnation}/${call}`, value: id, leaseId: id }
      await client.write({ conditions: [], changes: [change] })
      if (call % 3 === 0) await client.keepLease(id, 3)
    }
    await client.read({ start: 'lease/', end: 'lease0' })
    await delay(500)
  }
}

await Promise.all([...Array.from({ length: settings.writers }, (_, writer) => write(writer)), lease()])
isStopped = true
