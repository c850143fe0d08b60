/** Kinds of types that have no parts. */
export type SimpleKind = 'dyn' | 'null' | 'bool' | 'int' | 'uint' | 'double' | 'string' | 'bytes' | 'timestamp' | 'duration'

export interface ObjectType {
  readonly kind: 'object'
  readonly name: string
  readonly fields: ReadonlyMap<string, CelType>
  /** Fields that are not named may be anything. */
  readonly isOpen?: boolean | undefined
}

/** A type of the language. `param` stands for any type in a declaration, the same wherever it has the same name. */
export type CelType =
  | { readonly kind: SimpleKind; readonly shownAs?: string | undefined }
  | { readonly kind: 'list'; readonly of: CelType }
  | { readonly kind: 'map'; readonly key: CelType; readonly value: CelType }
  | ObjectType
  /** Types of libraries, and `optional_type`. */
  | { readonly kind: 'opaque'; readonly name: string; readonly parameters: readonly CelType[] }
  | { readonly kind: 'type'; readonly of: CelType }
  | { readonly kind: 'param'; readonly name: string }

export const dyn: CelType = { kind: 'dyn' }
/** What is {@link dyn} but in messages: a value that comes from outside as it is. */
export const anyValue: CelType = { kind: 'dyn', shownAs: 'google.protobuf.Any' }
export const simple = (kind: SimpleKind): CelType => ({ kind })
export const listOf = (of: CelType): CelType => ({ kind: 'list', of })
export const mapOf = (key: CelType, value: CelType): CelType => ({ kind: 'map', key, value })
export const opaque = (name: string, ...parameters: readonly CelType[]): CelType => ({ kind: 'opaque', name, parameters })
export const optionalOf = (of: CelType): CelType => opaque('optional_type', of)
export const isOptional = (type: CelType): type is Extract<CelType, { kind: 'opaque' }> =>
  type.kind === 'opaque' && type.name === 'optional_type'

/** A type as messages name it: `list(map(string, int))`. */
export function formatType(type: CelType): string {
  switch (type.kind) {
    case 'list':
      return `list(${formatType(type.of)})`
    case 'map':
      return `map(${formatType(type.key)}, ${formatType(type.value)})`
    case 'object':
      return type.name
    case 'opaque':
      return type.parameters.length === 0 ? type.name : `${type.name}(${type.parameters.map(formatType).join(', ')})`
    case 'type':
      return `type(${formatType(type.of)})`
    case 'param':
      return type.name
    case 'timestamp':
      return 'google.protobuf.Timestamp'
    case 'duration':
      return 'google.protobuf.Duration'
    case 'null':
      return 'null_type'
    case 'dyn':
      return type.shownAs ?? type.kind
    default:
      return type.kind
  }
}

/** True when both are the same type. */
export function isSameType(a: CelType, b: CelType): boolean {
  if (a === b) return true
  switch (a.kind) {
    case 'list':
      return b.kind === 'list' && isSameType(a.of, b.of)
    case 'map':
      return b.kind === 'map' && isSameType(a.key, b.key) && isSameType(a.value, b.value)
    case 'type':
      return b.kind === 'type' && isSameType(a.of, b.of)
    case 'object':
      return b.kind === 'object' && a.name === b.name
    case 'opaque':
      return b.kind === 'opaque' && a.name === b.name && a.parameters.every((one, index) => isSameType(one, b.parameters[index] ?? dyn))
    case 'param':
      return b.kind === 'param' && a.name === b.name
    default:
      return a.kind === b.kind
  }
}

/** What is known about type parameters while an expression is checked. */
export class Substitution {
  #bound = new Map<string, CelType>()
  #fresh = 0

  /** The type with its parameters replaced by what they stand for. */
  resolve(type: CelType): CelType {
    switch (type.kind) {
      case 'param': {
        const bound = this.#bound.get(type.name)
        return bound === undefined ? type : this.resolve(bound)
      }
      case 'list':
        return listOf(this.resolve(type.of))
      case 'map':
        return mapOf(this.resolve(type.key), this.resolve(type.value))
      case 'type':
        return { kind: 'type', of: this.resolve(type.of) }
      case 'opaque':
        return type.parameters.length === 0 ? type : opaque(type.name, ...type.parameters.map((one) => this.resolve(one)))
      default:
        return type
    }
  }

  /** The type with parameters that nothing is known about replaced by `dyn`. */
  ground(type: CelType): CelType {
    const resolved = this.resolve(type)
    switch (resolved.kind) {
      case 'param':
        return dyn
      case 'list':
        return listOf(this.ground(resolved.of))
      case 'map':
        return mapOf(this.ground(resolved.key), this.ground(resolved.value))
      case 'type':
        return { kind: 'type', of: this.ground(resolved.of) }
      case 'opaque':
        return resolved.parameters.length === 0 ? resolved : opaque(resolved.name, ...resolved.parameters.map((one) => this.ground(one)))
      default:
        return resolved
    }
  }

  freshParam(): CelType {
    return { kind: 'param', name: `_var${this.#fresh++}` }
  }

  /** A copy of a declared type with parameters of its own; `names` keeps which are which. */
  instantiate(type: CelType, names: Map<string, CelType>): CelType {
    switch (type.kind) {
      case 'param': {
        let fresh = names.get(type.name)
        if (fresh === undefined) names.set(type.name, (fresh = this.freshParam()))
        return fresh
      }
      case 'list':
        return listOf(this.instantiate(type.of, names))
      case 'map':
        return mapOf(this.instantiate(type.key, names), this.instantiate(type.value, names))
      case 'type':
        return { kind: 'type', of: this.instantiate(type.of, names) }
      case 'opaque':
        return opaque(type.name, ...type.parameters.map((one) => this.instantiate(one, names)))
      default:
        return type
    }
  }

  /** Whether values of `from` may stand where `to` is wanted; what that says about parameters is remembered, unless it may not. */
  assign(pairs: readonly (readonly [to: CelType, from: CelType])[]): boolean {
    const before = new Map(this.#bound)
    if (pairs.every(([to, from]) => this.#assignable(to, from))) return true
    this.#bound = before
    return false
  }

  #assignable(to: CelType, from: CelType): boolean {
    const left = this.resolve(to)
    const right = this.resolve(from)
    if (left.kind === 'param' || right.kind === 'param') return this.#bind(left, right)
    if (left.kind === 'dyn' || right.kind === 'dyn') return true
    if (right.kind === 'null') return ['null', 'object', 'opaque', 'timestamp', 'duration'].includes(left.kind)
    if (left.kind === 'null') return ['object', 'opaque', 'timestamp', 'duration'].includes(right.kind)
    if (left.kind === 'list') return right.kind === 'list' && this.#assignable(left.of, right.of)
    if (left.kind === 'map')
      return right.kind === 'map' && this.#assignable(left.key, right.key) && this.#assignable(left.value, right.value)
    if (left.kind === 'type') return right.kind === 'type'
    if (left.kind === 'object') return right.kind === 'object' && left.name === right.name
    if (left.kind === 'opaque')
      return (
        right.kind === 'opaque' &&
        left.name === right.name &&
        left.parameters.every((one, index) => this.#assignable(one, right.parameters[index] ?? dyn))
      )
    return left.kind === right.kind
  }

  #bind(left: CelType, right: CelType): boolean {
    if (left.kind === 'param' && right.kind === 'param' && left.name === right.name) return true
    if (left.kind === 'param') {
      if (this.#occurs(left.name, right)) return false
      this.#bound.set(left.name, right)
      return true
    }
    return right.kind === 'param' && this.#bind(right, left)
  }

  #occurs(name: string, type: CelType): boolean {
    const resolved = this.resolve(type)
    switch (resolved.kind) {
      case 'param':
        return resolved.name === name
      case 'list':
      case 'type':
        return this.#occurs(name, resolved.of)
      case 'map':
        return this.#occurs(name, resolved.key) || this.#occurs(name, resolved.value)
      case 'opaque':
        return resolved.parameters.some((one) => this.#occurs(name, one))
      default:
        return false
    }
  }
}
