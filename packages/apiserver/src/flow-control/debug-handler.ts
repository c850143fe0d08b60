import type { NonResourceHandler } from '../pipeline/handle-call.ts'
import type { FlowControl } from './flow-control.ts'

const root = '/debug/api_priority_and_fairness/'

/** `/debug/api_priority_and_fairness/dump_*`: tables of what runs and waits, in upstream's columns. */
export function flowDebugHandler(flowControl: FlowControl): NonResourceHandler {
  const tables: Readonly<Record<string, () => readonly (readonly (string | number | boolean)[])[]>> = {
    dump_priority_levels: () => [
      [
        'PriorityLevelName',
        'ActiveQueues',
        'IsIdle',
        'IsQuiescing',
        'WaitingRequests',
        'ExecutingRequests',
        'DispatchedRequests',
        'RejectedRequests',
        'TimedoutRequests',
        'CancelledRequests',
      ],
      ...flowControl.levels.map((level) => [
        level.name,
        level.queueSet.queues.filter(({ waiting }) => waiting.length > 0).length,
        level.isIdle,
        flowControl.isRetired(level),
        level.queueSet.waiting,
        level.queueSet.running + level.exemptRunning,
        level.totals.dispatched,
        level.totals.refused,
        level.totals.timedOut,
        level.totals.cancelled,
      ]),
    ],
    dump_queues: () => [
      ['PriorityLevelName', 'Index', 'PendingRequests', 'ExecutingRequests', 'SeatsInUse', 'NextDispatchR'],
      ...flowControl.levels.flatMap(({ name, queueSet }) =>
        queueSet.queues.map(({ index, waiting, running, seatsRunning, virtual }) => [
          name,
          index,
          waiting.length,
          running,
          seatsRunning,
          `${(virtual / 1000).toFixed(8)}ss`,
        ]),
      ),
    ],
    dump_requests: () => [
      ['PriorityLevelName', 'QueueIndex', 'RequestIndexInQueue', 'InitialSeats'],
      ...flowControl.levels.flatMap(({ name, queueSet }) =>
        queueSet.queues.flatMap(({ index, waiting }) => waiting.map(({ seats }, place) => [name, index, place, seats])),
      ),
    ],
  }
  return (_call, { path }) => {
    const name = path.startsWith(root) ? path.slice(root.length) : ''
    const table = Object.hasOwn(tables, name) ? tables[name] : undefined
    if (table === undefined) return undefined
    const text = table()
      .map((row) => `${row.join(', ')}\n`)
      .join('')
    return { type: 'bytes', code: 200, contentType: 'text/plain; charset=utf-8', bytes: text }
  }
}
