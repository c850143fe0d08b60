import { applyPatch, schemaOf, updateManagedFields, type JsonObject, type ManagedWrite } from '@k3s/api'
import type { Scale } from '@k3s/api/types/autoscaling/v1'
import { invariant } from '@k3s/lifecycle'

const apiVersion = 'autoscaling/v1'

interface Writer {
  readonly manager: string
  readonly now: Date
}

function writeBy({ manager, now }: Writer): ManagedWrite {
  const schema = schemaOf(apiVersion, 'Scale')
  invariant(schema !== undefined, 'Scale is a built-in kind')
  return { schema, manager, now, apiVersion, subresource: 'scale', resetFields: {} }
}

// Scales are JSON objects.
const asJson = (scale: Scale): JsonObject => scale as unknown as JsonObject

/** A Scale with the owners that it has when `writer` makes it out of another. */
export function updatedScale(previous: Scale, next: Scale, writer: Writer): Scale {
  const { metadata, ...rest } = next
  const unowned = { ...rest, metadata: { ...metadata, managedFields: undefined } }
  return updateManagedFields({ ...writeBy(writer), previous: asJson(previous), next: asJson(unowned) }) as unknown as Scale // as above
}

/** A Scale with what `writer` applies to it. Throws Conflict when others own that, and what server-side apply throws. */
export function appliedScale(
  live: Scale,
  patch: JsonObject,
  { force, ...writer }: Writer & { readonly force: boolean | undefined },
): JsonObject {
  return applyPatch({ ...writeBy(writer), live: asJson(live), patch, force }).object
}
