/** Two members in two processes: this one writes, its child watches. Tells the milliseconds from the call of each write to its event. Usage: latency.ts SETTINGS */
import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore } from '@k3s/datastore'
import { startChild } from './child.ts'
import { machineMoment } from './entries.ts'

interface LatencySettings {
  readonly dsn: string
  readonly count: number
  readonly intervalMs: number
  readonly isWatcher?: boolean | undefined
}

const settings = JSON.parse(process.argv[2] ?? '{}') as LatencySettings // what startChild passes
const key = Buffer.from('latency')
await using store = await openDatastore(settings.dsn)
if (settings.isWatcher === true) {
  const latencies: number[] = []
  const watch = store.watch({ start: key }, { fromRevision: (await store.currentRevision()) + 1 })
  process.send?.('ready')
  for await (const { events } of watch) {
    const now = machineMoment().order
    for (const { item } of events) latencies.push(now - Number(Buffer.from(item.value).toString()))
    if (latencies.length >= settings.count) break
  }
  process.send?.(latencies)
} else {
  const ready = Promise.withResolvers<void>()
  const result = Promise.withResolvers<unknown>()
  const child = startChild('latency.ts', { ...settings, isWatcher: true }, (message) =>
    message === 'ready' ? ready.resolve() : result.resolve(message),
  )
  await Promise.race([ready.promise, child.ended])
  await delay(500)
  for (let write = 0; write < settings.count; write++) {
    await store.update(key, Buffer.from(String(machineMoment().order)))
    await delay(settings.intervalMs)
  }
  process.send?.(await Promise.race([result.promise, child.ended.then(() => [])]))
  child.process.kill()
}
