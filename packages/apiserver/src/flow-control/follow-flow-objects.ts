import { flowschemas, prioritylevelconfigurations } from '@k3s/api/types/flowcontrol/v1'
import { invariant } from '@k3s/lifecycle'
import type { ApiCore } from '../pipeline/api-core.ts'
import { lendingIntervalMs, type FlowControl } from './flow-control.ts'
import { flowObjects, keepConditions } from './keep-flow-objects.ts'

/** Makes flow control act by the stored objects until the signal aborts: it follows their changes, lends seats every ten seconds and tells of schemas without a level. */
export async function followFlowObjects(core: ApiCore, flowControl: FlowControl, signal: AbortSignal): Promise<void> {
  let isDue = false
  let isTelling = false
  const tell = async (): Promise<void> => {
    if (isTelling || signal.aborted) return
    isTelling = true
    try {
      await keepConditions(core)
    } catch (error) {
      if (!signal.aborted) core.logger.warn({ err: error }, 'Conditions of flow schemas cannot be written')
    } finally {
      isTelling = false
    }
  }
  const telling = new Set<Promise<void>>()
  const configure = (): void => {
    isDue = false
    if (signal.aborted) return
    const { schemas, levels } = flowObjects(core)
    flowControl.configure(schemas, levels)
    const told = tell().finally(() => telling.delete(told))
    telling.add(told)
  }
  // Many objects change at once when a server starts.
  const schedule = (): void => {
    if (isDue) return
    isDue = true
    setImmediate(configure)
  }
  const stops = [flowschemas, prioritylevelconfigurations].map((type) => {
    const cache = core.table.find(type)?.storage?.cache
    invariant(cache !== undefined, 'flow control objects are stored')
    return cache.onChange(schedule)
  })
  configure()
  try {
    while (!signal.aborted) {
      await core.clock.sleep(lendingIntervalMs, signal)
      flowControl.adjust()
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    for (const stop of stops) stop()
    await Promise.all(telling)
  }
}
