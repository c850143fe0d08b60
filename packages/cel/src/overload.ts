import { dyn, listOf, mapOf, opaque, optionalOf, simple, type CelType, type SimpleKind } from './types.ts'
import type { Value } from './values.ts'

/** One way of calling a function. */
export interface Overload {
  readonly id: string
  readonly name: string
  /** Called as `first.name(rest)`. */
  readonly isMember: boolean
  /** The receiver first. */
  readonly args: readonly CelType[]
  readonly result: CelType
  run(args: readonly Value[]): Value
  /** Prepares the call for a regular expression, its second argument, that is the same each time. Throws EvaluationError for what is none. */
  readonly withPattern?: ((pattern: string) => (args: readonly Value[]) => Value) | undefined
  /** What a call really cost; absent: what cel-go's rules say. */
  readonly cost?: ((args: readonly Value[], result: Value) => number) | undefined
}

const kinds: readonly string[] = ['dyn', 'null', 'bool', 'int', 'uint', 'double', 'string', 'bytes', 'timestamp', 'duration']
const opaqueNames = [
  'net.IP',
  'net.CIDR',
  'kubernetes.URL',
  'kubernetes.Quantity',
  'kubernetes.Semver',
  'kubernetes.NamedFormat',
  'kubernetes.authorization.Authorizer',
  'kubernetes.authorization.PathCheck',
  'kubernetes.authorization.GroupCheck',
  'kubernetes.authorization.ResourceCheck',
  'kubernetes.authorization.Decision',
]

/**
 * Declares an overload: `'string_size on string.size() int'` is a member, `'size_list size(list(A)) int'` a function. Single capitals are type parameters.
 */
export function overload(
  signature: string,
  run: (...args: Value[]) => Value,
  cost?: (args: readonly Value[], result: Value) => number,
): Overload {
  const space = signature.indexOf(' ')
  const reader = new SignatureReader(signature.slice(space + 1))
  return { id: signature.slice(0, space), ...reader.read(), run: (args) => run(...args), cost }
}

class SignatureReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): Pick<Overload, 'name' | 'isMember' | 'args' | 'result'> {
    const isMember = this.#text.startsWith('on ')
    const args: CelType[] = []
    if (isMember) {
      this.#at = 3
      args.push(this.#type())
      this.#at++
    }
    const open = this.#text.indexOf('(', this.#at)
    const name = this.#text.slice(this.#at, open)
    this.#at = open + 1
    while (this.#text[this.#at] !== ')') {
      args.push(this.#type())
      if (this.#text.startsWith(', ', this.#at)) this.#at += 2
    }
    this.#at += 2
    return { name, isMember, args, result: this.#type() }
  }

  #type(): CelType {
    const known = opaqueNames.find((name) => this.#text.startsWith(name, this.#at))
    if (known !== undefined) {
      this.#at += known.length
      return opaque(known)
    }
    const word = /^[A-Za-z_]+/.exec(this.#text.slice(this.#at))?.[0] ?? ''
    this.#at += word.length
    if (kinds.includes(word)) return simple(word as SimpleKind) // it is in the list
    if (/^[A-Z]$/.test(word)) return { kind: 'param', name: word }
    this.#at++
    const first = this.#type()
    let second: CelType = dyn
    if (this.#text.startsWith(', ', this.#at)) {
      this.#at += 2
      second = this.#type()
    }
    this.#at++
    if (word === 'list') return listOf(first)
    if (word === 'map') return mapOf(first, second)
    return word === 'type' ? { kind: 'type', of: first } : optionalOf(first)
  }
}
