import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore } from '@k3s/datastore'
import { checkHistory } from '../src/conformance/check-history.ts'
import { assembleHistory } from '../src/conformance/recorded.ts'
import type { RecordedEntry } from '../src/conformance/recorded.ts'
import { Recorder } from '../src/conformance/recorder.ts'
import { startDatabase } from './databases.ts'
import { machineMoment } from './entries.ts'
import { readOptions } from './options.ts'
import { readLog } from './read-log.ts'
import { quantile, RunReport } from './report.ts'

/** A call that was begun so long before the database answers again counts for the recovery: it may wait for a connection that is dead. */
const settleMs = 20_000

/** Takes the database away from a datastore under load, by a stop or a freeze, and gives it back. */
export async function outage(args: readonly string[]): Promise<boolean> {
  const options = readOptions(args, { database: 'postgres', how: 'stop', seconds: 30, writers: 16, watchers: 10 })
  if (options.how !== 'stop' && options.how !== 'freeze') throw new Error('--how is stop or freeze')
  await using database = await startDatabase(options.database)
  await using store = await openDatastore(database.dsn('outage', database.port))
  const report = new RunReport()
  const entries: RecordedEntry[] = []
  const recorder = new Recorder({ now: machineMoment, emit: (entry) => entries.push(entry) })
  const server = { name: 'member', store }
  const start = await store.currentRevision()
  const stopping = new AbortController()
  /** Of answered calls. */
  const answers: { readonly begin: number; readonly end: number; readonly kind: 'write' | 'read' }[] = []
  const failures = new Map<string, number>()
  let longestFailure = 0
  const call = async (
    kind: 'write' | 'read',
    act: () => Promise<{ readonly type: string; readonly reason?: string; readonly code?: string }>,
  ): Promise<void> => {
    const begin = performance.now()
    const answer = await act()
    const end = performance.now()
    if (answer.type !== 'unknown' && answer.type !== 'failed') return void answers.push({ begin, end, kind })
    const reason = answer.reason ?? answer.code ?? answer.type
    failures.set(reason, (failures.get(reason) ?? 0) + 1)
    longestFailure = Math.max(longestFailure, end - begin)
    await delay(20)
  }
  const writers = Array.from({ length: options.writers }, async (_, writer) => {
    const client = recorder.client(`writer${writer}`, () => server)
    for (let write = 0; !stopping.signal.aborted; write++) {
      const key = `k${(writer * 7 + write) % 50}`
      await call('write', () => client.write({ conditions: [], changes: [{ type: 'put', key, value: `${writer}.${write}` }] }))
      await delay(10)
    }
  })
  const reader = (async () => {
    const client = recorder.client('reader', () => server)
    for (let read = 0; !stopping.signal.aborted; read++) {
      await call('read', () => client.read({ start: `k${read % 50}` }))
      await delay(20)
    }
  })()
  const watching = new AbortController()
  const reached = new Map<number, number>()
  const watchers = Array.from({ length: options.watchers }, (_, watcher) =>
    recorder
      .client(`watcher${watcher}`, () => server)
      .follow({
        range: watcher === 0 ? { start: '', end: '' } : { start: `k${watcher}`, end: '' },
        fromRevision: start + 1,
        signal: watching.signal,
        onBatch: (revision) => void reached.set(watcher, revision),
        beforeResume: () => delay(100),
      }),
  )
  await delay(5000)
  const gone = performance.now()
  if (options.how === 'stop') await database.stop()
  else database.pause()
  await delay(options.seconds * 1000)
  if (options.how === 'stop') await database.start()
  else database.resume()
  const back = performance.now()
  const hasRecovered = (): boolean => answers.some(({ begin, kind }) => kind === 'write' && begin > gone + 1000)
  while (!hasRecovered() && performance.now() - back < settleMs) await delay(10)
  const first = (kind: 'write' | 'read'): number =>
    Math.min(...answers.filter(({ begin, end, kind: its }) => its === kind && end > back && begin > gone + 1000).map(({ end }) => end)) -
    back
  await delay(3000)
  stopping.abort()
  await Promise.all([...writers, reader])
  const marker = await recorder.client('last', () => server).write({ conditions: [], changes: [{ type: 'put', key: 'k9z', value: 'end' }] })
  const through = marker.type === 'written' ? marker.revision : 0
  for (let step = 0; step < 500 && ![...reached.values()].every((revision) => revision >= through); step++) await delay(20)
  const readout = await readLog(store, start + 1)
  const history = assembleHistory([...entries], { start: { revision: start, items: [] }, readout, leaseBoundMs: 0 })
  watching.abort()
  await Promise.all(watchers)

  const away = `${((back - gone) / 1000).toFixed(0)} s`
  report.note('away for', away)
  const untyped = [...failures].filter(([reason]) => reason !== 'Unavailable').map(([reason, count]) => `${count} × ${reason}`)
  report.note('failures', [...failures].map(([reason, count]) => `${count} × ${reason}`).join(', '))
  report.check('failures that are not "Unavailable"', untyped.join(', ') || 'none', 'none', untyped.length === 0)
  report.note('longest call that failed, s', (longestFailure / 1000).toFixed(1))
  report.note(
    'longest call that was answered, s',
    (
      quantile(
        answers.map(({ begin, end }) => end - begin),
        1,
      ) / 1000
    ).toFixed(1),
  )
  report.check('first write answered after its return, s', (first('write') / 1000).toFixed(2), '<= 2', first('write') <= 2000)
  report.check('first read answered after its return, s', (first('read') / 1000).toFixed(2), '<= 2', first('read') <= 2000)
  const ended = history.watches.filter(({ ended }) => ended !== undefined).length
  report.check('watches that had to be started again', ended, '0', ended === 0)
  report.note('answered writes', answers.filter(({ kind }) => kind === 'write').length)
  report.history(checkHistory(history))
  return report.print(`outage: ${options.database}, ${options.how}`)
}
