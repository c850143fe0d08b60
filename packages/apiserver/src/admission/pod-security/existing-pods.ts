import { setImmediate } from 'node:timers/promises'
import { type Pod, pods } from '@k3s/api/types/core/v1'
import type { ObjectReader } from '../../registry/strategy.ts'
import { violations } from './checks.ts'
import { levelText, type LevelVersion } from './configuration.ts'

// Upstream's bounds.
const maxPods = 3000
const timeoutMs = 1000
// Judged in one turn of the event loop.
const turnSize = 200

/** Warns of the pods of a namespace that its new level would refuse; those of one controller are looked at last, but for the first. */
export async function warningsOfExisting(
  objects: ObjectReader,
  namespace: string,
  enforce: LevelVersion,
  exemptRuntimeClasses: readonly string[],
): Promise<readonly string[]> {
  const all = prioritized(objects.list(pods, namespace).filter(({ spec }) => !exemptRuntimeClasses.includes(spec.runtimeClassName ?? '')))
  const found = new Map<string, { name: string; count: number }>()
  const deadline = performance.now() + timeoutMs
  let checked = 0
  for (const { metadata, spec } of all.slice(0, maxPods)) {
    checked++
    const reasons = violations(enforce.level, spec, metadata).map(({ reason }) => reason)
    if (reasons.length > 0) {
      const text = reasons.join(', ')
      const known = found.get(text)
      if (known === undefined) found.set(text, { name: metadata.name, count: 1 })
      else {
        known.count++
        if (metadata.name < known.name) known.name = metadata.name
      }
    }
    if (checked % turnSize === 0) {
      await setImmediate()
      if (performance.now() > deadline) break
    }
  }
  const warnings = [...found].map(([text, { name, count }]) => `${name}${others(count - 1)}: ${text}`).toSorted()
  return [
    ...(checked < all.length
      ? [`new PodSecurity enforce level only checked against the first ${checked} of ${all.length} existing pods`]
      : []),
    ...(warnings.length === 0
      ? []
      : [
          `existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level ${JSON.stringify(levelText(enforce))}`,
        ]),
    ...warnings,
  ]
}

function others(count: number): string {
  return count === 0 ? '' : count === 1 ? ' (and 1 other pod)' : ` (and ${count} other pods)`
}

function prioritized(all: readonly Pod[]): readonly Pod[] {
  const seen = new Set<string>()
  const [first, later]: [Pod[], Pod[]] = [[], []]
  for (const pod of all) {
    const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true)?.uid
    if (owner !== undefined && seen.has(owner)) later.push(pod)
    else first.push(pod)
    if (owner !== undefined) seen.add(owner)
  }
  return [...first, ...later]
}
