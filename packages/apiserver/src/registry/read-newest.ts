import { CachedObject } from '../watch-cache/cached-object.ts'
import type { RegistryContext } from './registry-context.ts'
import type { ResourceStorage } from './served-resource.ts'

/** The newest version of an object, from the datastore. */
export async function readNewest(
  context: RegistryContext,
  { resource }: ResourceStorage,
  key: string,
  signal: AbortSignal,
): Promise<CachedObject | undefined> {
  const { item } = await context.datastore.get(Buffer.from(resource.prefix + key), { signal })
  return item === undefined ? undefined : CachedObject.fromStored(resource, key, item.modRevision, item.value)
}
