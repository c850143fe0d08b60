/** A definition of custom resources. `key` changes with it. Objects come in the version that they are worked on in, unless their conversion asks nobody. */
export interface HeavyDefinition {
  readonly key: string
  readonly bytes: Uint8Array
}
