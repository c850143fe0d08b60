import { objectKey, type KubernetesObject } from '@k3s/api'
import { invariant } from '@k3s/lifecycle'
import type { IndexFunction, Lister } from './informer-contract.ts'

interface Index<T> {
  readonly valuesOf: IndexFunction<T>
  /** Objects by value, then by key. No value has an empty map. */
  readonly entries: Map<string, Map<string, T>>
}

/** Name of the index behind `inNamespace`; made when that is first called. */
const namespaceIndex = 'namespace '

/** Objects by key, with indexes that are always in step: every change of one is a change of all, with no await between. */
export class Store<T extends KubernetesObject> implements Lister<T> {
  #objects = new Map<string, T>()
  readonly #indexes = new Map<string, Index<T>>()
  /** What `list` gives, until something changes. */
  #all: readonly T[] | undefined

  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  list(): readonly T[] {
    this.#all ??= Object.freeze([...this.#objects.values()])
    return this.#all
  }

  inNamespace(namespace: string): readonly T[] {
    this.addIndex(namespaceIndex, objectNamespace)
    return this.byIndex(namespaceIndex, namespace)
  }

  byIndex(name: string, value: string): readonly T[] {
    const index = this.#indexes.get(name)
    invariant(index !== undefined, `index "${name}" exists`)
    const found = index.entries.get(value)
    return found === undefined ? [] : [...found.values()]
  }

  /** Throws when another function has the name. */
  addIndex(name: string, valuesOf: IndexFunction<T>): void {
    const known = this.#indexes.get(name)
    invariant(known === undefined || known.valuesOf === valuesOf, `index "${name}" has one function`)
    if (known !== undefined) return
    const index: Index<T> = { valuesOf, entries: new Map() }
    this.#indexes.set(name, index)
    for (const [key, object] of this.#objects) file(index, key, object)
  }

  /** Puts the object in; gives what was there under its key. */
  set(key: string, object: T): T | undefined {
    const previous = this.#objects.get(key)
    this.#objects.set(key, object)
    this.#all = undefined
    for (const index of this.#indexes.values()) {
      if (previous !== undefined) unfile(index, key, previous)
      file(index, key, object)
    }
    return previous
  }

  /** Takes the object out; gives it. */
  delete(key: string): T | undefined {
    const previous = this.#objects.get(key)
    if (previous === undefined) return undefined
    this.#objects.delete(key)
    this.#all = undefined
    for (const index of this.#indexes.values()) unfile(index, key, previous)
    return previous
  }

  /** Makes `objects` the whole content, which the store then owns; gives what was the content before. */
  replace(objects: Map<string, T>): ReadonlyMap<string, T> {
    const previous = this.#objects
    this.#objects = objects
    this.#all = undefined
    for (const index of this.#indexes.values()) {
      index.entries.clear()
      for (const [key, object] of objects) file(index, key, object)
    }
    return previous
  }
}

const objectNamespace = (object: KubernetesObject): readonly string[] => [object.metadata.namespace ?? '']

function file<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) {
    const found = index.entries.get(value)
    if (found === undefined) index.entries.set(value, new Map([[key, object]]))
    else found.set(key, object)
  }
}

function unfile<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) {
    const found = index.entries.get(value)
    found?.delete(key)
    if (found?.size === 0) index.entries.delete(value)
  }
}

/** Objects by {@link objectKey}. */
export function byKey<T extends KubernetesObject>(objects: Iterable<T>): Map<string, T> {
  const map = new Map<string, T>()
  for (const object of objects) map.set(objectKey(object), object)
  return map
}
