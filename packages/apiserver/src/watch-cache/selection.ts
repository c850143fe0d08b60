import type { CachedObject } from './cached-object.ts'

/** Which objects a list or watch wants. */
export interface Selection {
  /** Key prefix of the namespace, `ns/`; empty for all. */
  readonly keyPrefix: string
  /** True when nothing but the namespace restricts. */
  readonly isEverything: boolean
  /** Whether the object is wanted, the namespace set aside. */
  matches(object: CachedObject): boolean
}

export function selects(selection: Selection, object: CachedObject): boolean {
  return object.key.startsWith(selection.keyPrefix) && (selection.isEverything || selection.matches(object))
}
