import { copyJson, equalJson, isObject } from '../json.ts'

// As upstream: what a patch copies together may be as long as a request, in characters of JSON.
const maxCopiedLength = 3 * 1024 * 1024

/** A `test` does not hold: the patch is not meant for this document. */
export class FailedTest extends Error {
  override readonly name = 'FailedTest'
}

/** There is nothing where an operation looks. */
class MissingPath extends Error {
  override readonly name = 'MissingPath'
}

/**
 * Applies an RFC 6902 patch to a JSON value that is not changed; the result shares nothing with either argument. Follows evanphx/json-patch: indexes
 * below zero count from the end, and a `test` for null holds where nothing is. Each operation costs its path, its value and nothing of the rest of the
 * document. Only own properties are seen: `constructor` and `__proto__` are names like others. Throws an Error when an operation cannot be applied.
 */
export function applyJsonPatch(operations: readonly unknown[], document: unknown): unknown {
  // A holder makes the document itself a place like others.
  const holder: Record<string, unknown> = { root: copyJson(document) }
  let copied = 0
  for (const operation of operations) {
    if (!isObject(operation)) throw new Error('An operation is an object')
    try {
      copied += applyOne(holder, operation, maxCopiedLength - copied)
    } catch (error) {
      if (error instanceof MissingPath)
        throw new Error(`${String(operation['op'])} operation does not apply: ${error.message}`, { cause: error })
      throw error
    }
  }
  return holder['root']
}

/** Does one operation; answers with how much it copied, at most `maxLength`. */
function applyOne(holder: Record<string, unknown>, operation: Readonly<Record<string, unknown>>, maxLength: number): number {
  const { op } = operation
  const path = pathOf(operation, 'path')
  switch (op) {
    case 'add':
      add(holder, path, copyJson(valueOf(operation)))
      return 0
    case 'replace':
      replace(holder, path, copyJson(valueOf(operation)))
      return 0
    case 'remove':
      remove(holder, path)
      return 0
    case 'move': {
      const from = pathOf(operation, 'from')
      if (from.length < path.length && from.every((part, index) => part === path[index])) throw new Error('Cannot move a value into itself')
      const moved = get(holder, from)
      remove(holder, from)
      add(holder, path, moved)
      return 0
    }
    case 'copy': {
      const source = get(holder, pathOf(operation, 'from'))
      const { length } = JSON.stringify(source)
      if (length > maxLength) throw new Error(`The patch copies more than ${maxCopiedLength} characters`)
      add(holder, path, copyJson(source))
      return length
    }
    case 'test':
      test(holder, path, operation['value'] ?? null)
      return 0
    default:
      throw new Error(`Unexpected kind: ${typeof op === 'string' ? op : 'unknown'}`)
  }
}

type Path = readonly [string, ...string[]]

function pathOf(operation: Readonly<Record<string, unknown>>, field: 'path' | 'from'): Path {
  const text = operation[field]
  if (typeof text !== 'string' || (text !== '' && !text.startsWith('/'))) throw new Error(`${field} is no JSON pointer`)
  const [, ...parts] = text.split('/')
  return ['root', ...parts.map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))]
}

function valueOf(operation: Readonly<Record<string, unknown>>): unknown {
  return operation['value'] ?? null
}

type Container = Record<string, unknown> | unknown[]

/** What holds the last part of a path, and that part. */
function placeOf(holder: Container, path: Path): readonly [Container, string] {
  let container: Container = holder
  for (const part of path.slice(0, -1)) {
    const next = child(container, part)
    if (!Array.isArray(next) && !isObject(next)) throw missing(path)
    container = next
  }
  return [container, path.at(-1) ?? '']
}

/** undefined where nothing is. */
function child(container: Container, part: string): unknown {
  if (!Array.isArray(container)) return Object.hasOwn(container, part) ? container[part] : undefined
  return container[indexOf(part, container.length)]
}

/** The index that a part means, between 0 and `length`; -1 for one outside. */
function indexOf(part: string, length: number): number {
  if (!/^(?:0|-?[1-9]\d{0,8})$/.test(part)) return -1
  const index = Number(part) < 0 ? Number(part) + length : Number(part)
  return index >= 0 && index <= length ? index : -1
}

function get(holder: Container, path: Path): unknown {
  const [container, part] = placeOf(holder, path)
  const value = child(container, part)
  if (value === undefined) throw missing(path)
  return value
}

/** As upstream's library: in an object it may name what is not there yet. */
function replace(holder: Container, path: Path, value: unknown): void {
  const [container] = placeOf(holder, path)
  if (Array.isArray(container)) get(holder, path)
  put(holder, path, value)
}

function put(holder: Container, path: Path, value: unknown): void {
  const [container, part] = placeOf(holder, path)
  if (Array.isArray(container)) container[indexOf(part, container.length)] = value
  // As data: `__proto__` is no way to the prototype.
  else Object.defineProperty(container, part, { value, enumerable: true, configurable: true, writable: true })
}

function add(holder: Container, path: Path, value: unknown): void {
  const [container, part] = placeOf(holder, path)
  if (!Array.isArray(container)) return put(holder, path, value)
  // Counted from the end of the list as it will be.
  const index = part === '-' ? container.length : indexOf(part, Number(part) < 0 ? container.length + 1 : container.length)
  if (index < 0) throw missing(path)
  container.splice(index, 0, value)
}

function remove(holder: Container, path: Path): void {
  const [container, part] = placeOf(holder, path)
  if (child(container, part) === undefined)
    throw new Error(`error in remove for path: '${pointer(path)}': Unable to remove nonexistent key: ${part}: missing value`)
  if (Array.isArray(container)) container.splice(indexOf(part, container.length), 1)
  else delete container[part]
}

function test(holder: Container, path: Path, expected: unknown): void {
  const [container, part] = placeOf(holder, path)
  if (!equalJson(child(container, part) ?? null, expected)) throw new FailedTest(`testing value ${pointer(path)} failed: test failed`)
}

const pointer = ([, ...parts]: Path): string => parts.map((part) => `/${part.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

const missing = (path: Path): Error => new MissingPath(`doc is missing path: ${JSON.stringify(pointer(path))}: missing value`)
