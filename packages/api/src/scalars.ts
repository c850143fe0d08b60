import type { ObjectMeta } from './generated/types/meta/v1.ts'

/** A number with an optional unit, such as `100m`, `1.5Gi` or `3e6`. See `quantity.ts` for arithmetic. */
export type Quantity = string

/** A port or amount given as a number, or a port name or percentage given as a string. */
export type IntOrString = number | string

/** Metadata of an object that stands by itself. An empty `name` is an absent one, as it is upstream: it asks for `generateName`. */
export interface RootMeta extends ObjectMeta {
  name: string
}
