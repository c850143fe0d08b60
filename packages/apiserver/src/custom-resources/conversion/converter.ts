import type { JsonMap } from '../schema/schema.ts'

/** Converts objects of one custom resource between its versions. */
export interface Converter {
  /** Nothing but `apiVersion` differs between versions: done at once. */
  readonly isTrivial: boolean
  /** New objects in `apiVersion`, in the same order; the arguments are left alone. Throws StatusErrors. */
  convert(objects: readonly JsonMap[], apiVersion: string, signal: AbortSignal): Promise<readonly JsonMap[]>
}

/** The strategy `None`. */
export const trivialConverter: Converter = {
  isTrivial: true,
  convert: (objects, apiVersion) => Promise.resolve(objects.map((object) => ({ ...object, apiVersion }))),
}
