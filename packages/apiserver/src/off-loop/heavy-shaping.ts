import type { CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { invariant } from '@k3s/lifecycle'
import type { OffLoopShaping } from '../custom-resources/version-view.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { HeavyOutput } from './heavy-contract.ts'
import { plainType, seenFacts, type HeavyWork } from './heavy-work.ts'

/** Brings large custom resources into the form of their schemas in the thread. `stored` is the definition. */
export function heavyShaping(work: HeavyWork, stored: CachedObject): OffLoopShaping {
  const { spec } = stored.object as CustomResourceDefinition // see above
  const definition = work.definitionOf(stored)
  const { group, names, scope, versions } = spec
  // The thread knows the versions that are served.
  const version = versions.find(({ served }) => served)?.name ?? ''
  const type = { group, version, resource: names.plural, kind: names.kind, namespaced: scope === 'Namespaced' }
  return {
    definition,
    show: async (object, own, signal) => {
      const output = await work.run('show', { type: plainType(own.type), current: seenFacts(object) }, signal, definition)
      return output.isUnchanged === true ? undefined : valueOf(output)
    },
    shape: async (object, { version: wanted, isStored, exact }, signal) =>
      valueOf(await work.run('shape', { type, version: wanted, isStored, object, exact }, signal, definition)),
  }
}

function valueOf({ value }: HeavyOutput): Buffer {
  invariant(value !== undefined, 'these jobs answer with values')
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}
