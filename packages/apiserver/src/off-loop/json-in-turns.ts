import { append } from '@k3s/lifecycle'
import { deepFreeze } from '../deep-freeze.ts'
import { copyJson, equalJson } from '../json.ts'

/** Lets everybody else have a turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

// Of JSON text, in one turn: at most some 5 ms, of what is nothing but short values.
const maxBytes = 48 * 1024
// Of values, in one turn, as `weigh` counts them: the same.
const maxWeight = 5000
// A text of so many characters weighs as much as a number.
const charactersOfOne = 64

const [comma, colon, quote, backslash, openBrace, closeBrace, openBracket, closeBracket] = Buffer.from(',:"\\{}[]')

/** A list or an object whose end was not reached yet. */
interface Open {
  readonly isObject: boolean
  readonly start: number
  /** Where the members begin that are not in `built`. */
  from: number
  /** What was read of it; undefined as long as all of it can be read with what it stands in. */
  built: Record<string, unknown> | unknown[] | undefined
  /** Of an object: where the name of the member at hand stands. */
  nameFrom: number
  nameTo: number
}

/**
 * What `JSON.parse` makes of JSON text in UTF-8, which must be valid; long text is read in several turns of the event loop. With `freezes` the value
 * is deeply frozen. A turn ends between two members, and what they stand in is joined when its own end comes:
 * ```
 * {"a":1,"b":[2,3,|4,5],"c":6}    [2,3 is read | 4,5], then {"a":1, and b is set | "c":6}
 * ```
 */
export async function parseInTurns(bytes: Uint8Array, { freezes = false }: { readonly freezes?: boolean } = {}): Promise<unknown> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const open: Open[] = []
  // Up to where members were read, or looked at without a turn.
  let seenTo = 0
  let isQuoted = false
  let textFrom = 0
  let textTo = 0
  const whole = (): unknown => {
    const value: unknown = JSON.parse(text.toString('utf8'))
    return freezes ? deepFreeze(value) : value
  }
  if (text.length <= maxBytes) return whole()
  const read = (one: Open, to: number): void => {
    one.built ??= one.isObject ? {} : []
    addMembers(one.built, text.toString('utf8', one.from, to), freezes)
    one.from = to
    seenTo = to
  }
  for (let at = 0; at < text.length; at++) {
    const byte = text[at]
    if (isQuoted) {
      if (byte === backslash) at++
      else if (byte === quote) {
        isQuoted = false
        textTo = at + 1
      }
      continue
    }
    const top = open.at(-1)
    if (byte === quote) {
      isQuoted = true
      textFrom = at
    } else if (byte === openBrace || byte === openBracket)
      open.push({ isObject: byte === openBrace, start: at, from: at + 1, built: undefined, nameFrom: 0, nameTo: 0 })
    else if (top === undefined) continue
    else if (byte === colon) {
      top.nameFrom = textFrom
      top.nameTo = textTo
    } else if (byte === comma) {
      if (at - seenTo < maxBytes) continue
      read(top, at)
      await nextTurn()
    } else if (byte === closeBrace || byte === closeBracket) {
      open.pop()
      if (top.built === undefined) continue
      read(top, at)
      const value = freezes ? Object.freeze(top.built) : top.built
      const outer = open.at(-1)
      if (outer === undefined) return value
      read(outer, outer.isObject ? outer.nameFrom : top.start)
      if (Array.isArray(outer.built)) outer.built.push(value)
      else if (outer.built !== undefined)
        setOwn(outer.built, String(JSON.parse(text.toString('utf8', outer.nameFrom, outer.nameTo))), value)
      outer.from = at + 1
      await nextTurn()
    }
  }
  // One long text, or hardly more.
  return whole()
}

/** `text`: members as they stand between others, with or without the commas around them. */
function addMembers(built: Record<string, unknown> | unknown[], text: string, freezes: boolean): void {
  const members = text.replace(/^\s*,|,\s*$/g, '')
  if (members.trim() === '') return
  if (Array.isArray(built)) {
    const items = JSON.parse(`[${members}]`) as unknown[] // brackets make a list
    append(built, freezes ? items.map(deepFreeze) : items)
    return
  }
  const fields = JSON.parse(`{${members}}`) as Record<string, unknown> // braces make an object
  for (const name of Object.keys(fields)) setOwn(built, name, freezes ? deepFreeze(fields[name]) : fields[name])
}

/** Sets a field, whatever its name. */
function setOwn(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name === '__proto__') Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  else object[name] = value
}

/** As `copyJson`; a large value is copied in several turns of the event loop and must not change in between. */
export async function copyInTurns<T>(value: T): Promise<T> {
  return isLarge(value) ? ((await parseInTurns(await stringifyInTurns(value))) as T) : copyJson(value) // a copy has its original's type
}

/** A list, by the positions of its items, or an object. */
const isContainer = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null

/** As `equalJson`; large values are compared in several turns of the event loop and must not change in between. */
export async function equalInTurns(left: unknown, right: unknown): Promise<boolean> {
  if (!isContainer(left) || !isContainer(right) || Array.isArray(left) !== Array.isArray(right) || !isLarge(left))
    return equalJson(left, right)
  const names = Object.keys(left).filter((name) => left[name] !== undefined)
  if (names.length !== Object.keys(right).filter((name) => right[name] !== undefined).length) return false
  let seen = 0
  for (const name of names) {
    if (!Object.hasOwn(right, name)) return false
    const inner = left[name]
    const weight = weigh(inner, maxWeight)
    if (weight < maxWeight ? !equalJson(inner, right[name]) : !(await equalInTurns(inner, right[name]))) return false
    seen += weight
    if (seen < maxWeight) continue
    seen = 0
    await nextTurn()
  }
  return true
}

/** Freezes a JSON value and everything in it, and resolves with it; a large one in several turns of the event loop, from the outside in. */
export async function freezeInTurns<T>(value: T): Promise<T> {
  const waiting: unknown[] = [value]
  let seen = 0
  while (waiting.length > 0) {
    const next = waiting.pop()
    if (typeof next !== 'object' || next === null || Object.isFrozen(next)) continue
    Object.freeze(next)
    for (const inner of Object.values(next)) {
      seen++
      if (typeof inner === 'object') waiting.push(inner)
    }
    if (seen < maxWeight) continue
    seen = 0
    await nextTurn()
  }
  return value
}

/** How many values there are in one, about; long texts count as several. Counting ends at `limit`. */
export function weigh(value: unknown, limit: number): number {
  if (typeof value === 'string') return 1 + Math.floor(value.length / charactersOfOne)
  if (typeof value !== 'object' || value === null) return 1
  let weight = 1
  if (Array.isArray(value)) {
    for (const item of value) {
      if (weight >= limit) break
      weight += weigh(item, limit - weight)
    }
    return weight
  }
  const fields = value as Readonly<Record<string, unknown>> // neither null nor a list
  for (const name in fields) {
    if (weight >= limit) break
    weight += weigh(fields[name], limit - weight)
  }
  return weight
}

/** What is made of this value is made in several turns of the event loop. */
export const isLarge = (value: unknown): boolean => weigh(value, maxWeight) >= maxWeight

export type Replacer = (key: string, value: unknown) => unknown

/** What `JSON.stringify` makes of a JSON value, in UTF-8; a large value is written in several turns of the event loop and must not change in between. */
export async function stringifyInTurns(value: unknown, replacer?: Replacer): Promise<Buffer> {
  if (!isLarge(value)) return Buffer.from(JSON.stringify(value, replacer))
  const writer = new Writer(replacer)
  await writer.write(value)
  return writer.end()
}

class Writer {
  readonly #replacer: Replacer | undefined
  readonly #done: Buffer[] = []
  #text = ''
  /** Of what was written or weighed in this turn. */
  #weight = 0

  constructor(replacer: Replacer | undefined) {
    this.#replacer = replacer
  }

  end(): Buffer {
    this.#done.push(Buffer.from(this.#text))
    return Buffer.concat(this.#done)
  }

  /** A list or an object member by member: those that are small at once, the others in the same way. */
  async write(value: unknown): Promise<void> {
    const isList = Array.isArray(value)
    if (!isList && (typeof value !== 'object' || value === null)) return this.#add(JSON.stringify(value, this.#replacer))
    this.#text += isList ? '[' : '{'
    let isFirst = true
    for (const [name, member] of isList ? listMembers(value) : objectMembers(value)) {
      const weight = weigh(member, maxWeight)
      this.#weight += weight
      const isLarge = weight >= maxWeight && typeof member === 'object'
      const shown = typeof member === 'number' && this.#replacer !== undefined ? this.#replacer(name, member) : member
      const text = isLarge ? '' : JSON.stringify(shown, this.#replacer)
      if (text === undefined && !isList) continue
      this.#text += `${isFirst ? '' : ','}${isList ? '' : `${JSON.stringify(name)}:`}`
      isFirst = false
      if (isLarge) await this.write(member)
      else this.#add(text ?? 'null')
      if (this.#weight >= maxWeight) await this.#turn()
    }
    this.#text += isList ? ']' : '}'
  }

  #add(text: string): void {
    this.#text += text
  }

  async #turn(): Promise<void> {
    this.#done.push(Buffer.from(this.#text))
    this.#text = ''
    this.#weight = 0
    await nextTurn()
  }
}

function* listMembers(list: readonly unknown[]): Generator<readonly [string, unknown]> {
  for (const item of list) yield ['', item]
}

function* objectMembers(object: object): Generator<readonly [string, unknown]> {
  const fields = object as Readonly<Record<string, unknown>> // not a list
  for (const name of Object.keys(fields)) yield [name, fields[name]]
}
