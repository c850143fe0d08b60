import { setTimeout as sleep } from 'node:timers/promises'
import { isStatusError } from '@k3s/api'
import type { Operation } from './planning.ts'
import type { Side } from './side.ts'

/** Why an operation failed; undefined: it did not. By its place in the plan. */
export type Outcomes = (string | undefined)[]

/** Does to a side what the plan says, each operation at its time or, when its lanes are late, as soon as all of them are free. Resolves when all are done or the signal aborts. */
export async function runPlan(side: Side, plan: readonly Operation[], signal: AbortSignal): Promise<Outcomes> {
  const outcomes: Outcomes = []
  /** The last operation of each lane so far. */
  const lanes = new Map<string, Promise<void>>()
  const began = performance.now()
  for (const [index, operation] of plan.entries()) {
    await sleep(Math.max(0, operation.atMs - (performance.now() - began)), undefined, { signal }).catch(() => {}) // aborted
    if (signal.aborted) break
    const done = Promise.all(operation.lanes.flatMap((lane) => lanes.get(lane) ?? [])).then(async () => {
      try {
        if (!signal.aborted) await operation.run(side)
      } catch (error) {
        outcomes[index] = isStatusError(error) ? `${error.reason}: ${error.message}` : String(error)
      }
    })
    for (const lane of operation.lanes) lanes.set(lane, done)
  }
  await Promise.all(lanes.values())
  return outcomes
}
