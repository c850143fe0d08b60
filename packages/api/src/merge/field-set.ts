import { without, type JsonObject } from '../codec/decode-object.ts'

/**
 * A set of field paths in the form of `fieldsV1`: element → what is below it. Elements are `f:<name>` (field or map key),
 * `k:<JSON of the keys>` (item of a list of type map), `v:<JSON>` (item of a set) and `i:<index>`. An element is itself in the set when
 * nothing is below it, or when `.` is.
 *
 *   { "f:spec": { "f:replicas": {}, "f:selector": { ".": {}, "f:app": {} } } }   holds .spec.replicas, .spec.selector and .spec.selector.app
 *
 * Operations change no argument, share what they can, and answer with their first argument itself when the result equals it.
 */
export interface FieldSet {
  readonly [element: string]: FieldSet
}

export const emptySet: FieldSet = Object.freeze({})
const leaf: FieldSet = emptySet

/** True when no path is in the set. */
export function isEmptySet(set: FieldSet): boolean {
  for (const element in set) if (element !== '.') return false
  return true
}

function isMember(node: FieldSet): boolean {
  if ('.' in node) return true
  for (const _ in node) return false
  return true
}

function makeNode(member: boolean, children: Record<string, FieldSet>): FieldSet | undefined {
  if (isEmptySet(children)) return member ? leaf : undefined
  return member ? { '.': leaf, ...children } : children
}

const elementsOf = (node: FieldSet): string[] => Object.keys(node).filter((element) => element !== '.')

function childrenOf(node: FieldSet): Record<string, FieldSet> {
  return without(node, '.')
}

/** Paths of either. */
export function unionSets(a: FieldSet, b: FieldSet): FieldSet {
  let result: Record<string, FieldSet> | undefined
  for (const element of elementsOf(b)) {
    const left = a[element]
    const right = b[element]
    if (right === undefined || left === right) continue
    const merged = left === undefined ? right : unionNodes(left, right)
    if (merged === left) continue
    result ??= childrenOf(a)
    result[element] = merged
  }
  return result ?? a
}

function unionNodes(a: FieldSet, b: FieldSet): FieldSet {
  const member = isMember(a) || isMember(b)
  const children = unionSets(a, b)
  if (children === a && member === isMember(a)) return a
  return makeNode(member, childrenOf(children)) ?? leaf
}

/** Paths of `a` that are not in `b`; what lies below a path of `b` stays. */
export function subtractSet(a: FieldSet, b: FieldSet): FieldSet {
  return removeFrom(a, b, (left, right) => makeNode(isMember(left) && !isMember(right), childrenOf(subtractSet(left, right))))
}

/** Paths of `a` that are neither in `b` nor below a path of `b`. */
export function subtractTrees(a: FieldSet, b: FieldSet): FieldSet {
  return removeFrom(a, b, (left, right) => (isMember(right) ? undefined : makeNode(isMember(left), childrenOf(subtractTrees(left, right)))))
}

function removeFrom(a: FieldSet, b: FieldSet, remove: (left: FieldSet, right: FieldSet) => FieldSet | undefined): FieldSet {
  let result: Record<string, FieldSet> | undefined
  for (const element of elementsOf(a)) {
    const left = a[element]
    const right = b[element]
    if (left === undefined || right === undefined) continue
    const rest = remove(left, right)
    if (rest !== undefined && isMember(rest) === isMember(left) && isSameSet(rest, left)) continue
    result ??= childrenOf(a)
    if (rest === undefined) delete result[element]
    else result[element] = rest
  }
  return result ?? a
}

/** Paths of both. */
export function intersectSets(a: FieldSet, b: FieldSet): FieldSet {
  const result: Record<string, FieldSet> = {}
  for (const element of elementsOf(a)) {
    const left = a[element]
    const right = b[element]
    if (left === undefined || right === undefined) continue
    const node = makeNode(isMember(left) && isMember(right), childrenOf(intersectSets(left, right)))
    if (node !== undefined) result[element] = node
  }
  return result
}

/** True when every path of `a` is in `b`. */
export function isSubset(a: FieldSet, b: FieldSet): boolean {
  return elementsOf(a).every((element) => {
    const left = a[element]
    const right = b[element]
    return left !== undefined && right !== undefined && (!isMember(left) || isMember(right)) && isSubset(left, right)
  })
}

export function isSameSet(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true
  const elements = elementsOf(a)
  if (elements.length !== elementsOf(b).length) return false
  return elements.every((element) => {
    const left = a[element]
    const right = b[element]
    return left !== undefined && right !== undefined && isMember(left) === isMember(right) && isSameSet(left, right)
  })
}

/** Every path of the set, as its elements, in the order of {@link sortSet}. */
export function* pathsOf(set: FieldSet, prefix: readonly string[] = []): Generator<readonly string[]> {
  const elements = elementsOf(set).toSorted(compareElements)
  for (const element of elements) if (isMember(set[element] ?? leaf)) yield [...prefix, element]
  for (const element of elements) yield* pathsOf(set[element] ?? leaf, [...prefix, element])
}

/** True when the path itself is in the set. */
export function hasPath(set: FieldSet, path: readonly string[]): boolean {
  let node: FieldSet | undefined = set
  for (const element of path) node = node?.[element]
  return node !== undefined && isMember(node)
}

interface GrowingNode {
  isMember: boolean
  readonly children: Map<string, GrowingNode>
  /** Whole, in place of the others. */
  built?: FieldSet
}

const growingNode = (): GrowingNode => ({ isMember: false, children: new Map() })

/** A set that grows. Each path costs its length, however many there are: asking an object with very many keys whether it has one costs them all. */
export class SetBuilder {
  readonly #root = growingNode()

  /** What was added so far. */
  get set(): FieldSet {
    return builtSet(this.#root)
  }

  add(path: readonly string[]): void {
    const node = this.#at(path)
    node.isMember = node !== this.#root
  }

  /** Adds everything at and below a path, which is not empty and nothing of which was added before. */
  addWhole(path: readonly string[], built: FieldSet): void {
    this.#at(path).built = built
  }

  #at(path: readonly string[]): GrowingNode {
    let node = this.#root
    for (const element of path) {
      let next = node.children.get(element)
      if (next === undefined) node.children.set(element, (next = growingNode()))
      node = next
    }
    return node
  }
}

function builtSet({ isMember: hasItself, children, built }: GrowingNode): FieldSet {
  if (built !== undefined) return built
  const result: Record<string, FieldSet> = {}
  if (hasItself && children.size > 0) result['.'] = leaf
  for (const [element, child] of children) result[element] = builtSet(child)
  return result
}

const rank = (element: string): number => 'fkvi'.indexOf(element[0] ?? '')

function compareElements(a: string, b: string): number {
  return rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0)
}

/** The same set with its elements in upstream's order: the argument itself when it has it. */
export function sortSet(set: FieldSet): FieldSet {
  if (isSorted(set)) return set
  const result: Record<string, FieldSet> = '.' in set ? { '.': leaf } : {}
  for (const element of elementsOf(set).toSorted(compareElements)) result[element] = sortSet(set[element] ?? leaf)
  return result
}

function isSorted(set: FieldSet): boolean {
  let last: string | undefined
  for (const element in set) {
    const below = set[element] ?? leaf
    // The set itself comes first, and nothing is below it.
    if (element === '.' && (last !== undefined || Object.keys(below).length > 0)) return false
    if (element === '.') continue
    if (last !== undefined && compareElements(last, element) > 0) return false
    if (!isSorted(below)) return false
    last = element
  }
  return true
}

/** A path as messages have it: `.spec.containers[name="a"].image`. */
export function formatPath(path: readonly string[]): string {
  return path.map(formatElement).join('')
}

export function formatElement(element: string): string {
  const text = element.slice(2)
  if (element.startsWith('f:')) return `.${text}`
  if (element.startsWith('v:')) return `[=${text}]`
  if (element.startsWith('i:')) return `[${text}]`
  // Written by keyElement, or by a client in the same form.
  const keys = JSON.parse(text) as JsonObject
  return `[${Object.entries(keys)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',')}]`
}

/** The element of a list item with these keys. */
export function keyElement(keys: JsonObject): string {
  return `k:${JSON.stringify(Object.fromEntries(Object.entries(keys).toSorted(([a], [b]) => (a < b ? -1 : 1))))}`
}
