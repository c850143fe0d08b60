import { isObject } from '../json.ts'

/** Fields of a configuration, read by their types. What is wrong is a TypeError that names the field. */
export class Fields {
  /** Where it is in the document; empty for the whole. */
  readonly path: string
  readonly #values: Readonly<Record<string, unknown>>

  constructor(value: unknown, path: string) {
    if (!isObject(value)) throw new TypeError(`${path === '' ? 'configuration' : path}: must be an object`)
    this.path = path
    this.#values = value
  }

  /** The path of a field. */
  at(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`
  }

  /** Undefined when it is not there. */
  value(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined
  }

  /** Undefined for null, too. */
  text(name: string): string | undefined {
    const value = this.value(name) ?? undefined
    if (value === undefined || typeof value === 'string') return value
    throw new TypeError(`${this.at(name)}: must be a text`)
  }

  /** A text that is there and not empty. */
  required(name: string): string {
    const value = this.text(name)
    if (value === undefined || value === '') throw new TypeError(`${this.at(name)}: required`)
    return value
  }

  /** An object; undefined for null, too. */
  member(name: string): Fields | undefined {
    const value = this.value(name) ?? undefined
    return value === undefined ? undefined : new Fields(value, this.at(name))
  }

  /** An object, without fields when it is not there. */
  needed(name: string): Fields {
    return this.member(name) ?? new Fields({}, this.at(name))
  }

  #items(name: string): readonly unknown[] {
    const value = this.value(name) ?? []
    if (!Array.isArray(value)) throw new TypeError(`${this.at(name)}: must be a list`)
    return value
  }

  /** Objects; none for null, too. */
  list(name: string): readonly Fields[] {
    return this.#items(name).map((item, index) => new Fields(item, `${this.at(name)}[${index}]`))
  }

  /** Texts that are not empty; none for null, too. */
  texts(name: string): readonly string[] {
    return this.#items(name).map((item, index) => {
      if (typeof item !== 'string' || item === '') throw new TypeError(`${this.at(name)}[${index}]: must be a text`)
      return item
    })
  }

  /** Refuses what is not known: a field that is misspelt would protect nothing. */
  done(known: readonly string[]): void {
    const odd = Object.keys(this.#values).find((name) => !known.includes(name))
    if (odd !== undefined) throw new TypeError(`${this.at(odd)}: unknown field`)
  }
}
