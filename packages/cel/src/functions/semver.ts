import { one, traversal } from '../costs.ts'
import { overload, type Overload } from '../overload.ts'
import { EvaluationError, Opaque, type Value } from '../values.ts'
import { asString } from './arguments.ts'

interface Version {
  readonly numbers: readonly bigint[]
  readonly pre: readonly string[]
}

const pattern =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$/

function parse(text: string): Version | undefined {
  const match = pattern.exec(text)
  if (match === null) return undefined
  const [, major = '0', minor = '0', patch = '0', pre] = match
  const parts = pre === undefined ? [] : pre.split('.')
  if (parts.some((part) => /^0\d+$/.test(part))) return undefined
  return { numbers: [major, minor, patch].map(BigInt), pre: parts }
}

/** Without a leading `v`, with three numbers, none with leading zeros. */
function normalize(text: string): string {
  const trimmed = text.replace(/^v/, '')
  const end = /[-+]/.exec(trimmed)?.index ?? trimmed.length
  const numbers = trimmed
    .slice(0, end)
    .split('.')
    .map((part) => (/^0+\d/.test(part) ? part.replace(/^0+(?=\d)/, '') : part))
  while (numbers.length < 3) numbers.push('0')
  return numbers.join('.') + trimmed.slice(end)
}

function compare(a: Version, b: Version): number {
  for (const [index, left] of a.numbers.entries()) {
    const right = b.numbers[index] ?? 0n
    if (left !== right) return left < right ? -1 : 1
  }
  if (a.pre.length === 0 || b.pre.length === 0) return Math.sign(b.pre.length === 0 ? -a.pre.length : 1)
  for (let index = 0; index < Math.max(a.pre.length, b.pre.length); index++) {
    const order = comparePart(a.pre[index], b.pre[index])
    if (order !== 0) return order
  }
  return 0
}

function comparePart(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1
  const [left, right] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (left && right) return BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : 0
  if (left !== right) return left ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

function versionOf(value: Value | undefined): Version {
  if (!(value instanceof Opaque) || value.typeName !== 'kubernetes.Semver') throw new EvaluationError('no such overload')
  return value.content as Version // made below
}

const textOf = (text: Value | undefined, normalizes: Value | undefined): string =>
  normalizes === true ? normalize(asString(text)) : asString(text)

function make(text: Value | undefined, normalizes?: Value): Opaque {
  const version = parse(textOf(text, normalizes))
  if (version === undefined)
    throw new EvaluationError(
      `semver parse error during conversion from string: Invalid character(s) found in version ${JSON.stringify(text)}`,
    )
  return new Opaque('kubernetes.Semver', version, { equals: (other) => compare(version, other as Version) === 0 }) // of the same type
}

const part = (value: Value | undefined, index: number): bigint => versionOf(value).numbers[index] ?? 0n

/** Semantic versions. */
export const semverFunctions: readonly Overload[] = [
  overload('string_to_semver semver(string) kubernetes.Semver', (a) => make(a), traversal()),
  overload('string_bool_to_semver semver(string, bool) kubernetes.Semver', (a, b) => make(a, b), traversal()),
  overload('is_semver_string isSemver(string) bool', (a) => parse(asString(a)) !== undefined, traversal()),
  overload('is_semver_string_bool isSemver(string, bool) bool', (a, b) => parse(textOf(a, b)) !== undefined, traversal()),
  overload('semver_major on kubernetes.Semver.major() int', (a) => part(a, 0), one),
  overload('semver_minor on kubernetes.Semver.minor() int', (a) => part(a, 1), one),
  overload('semver_patch on kubernetes.Semver.patch() int', (a) => part(a, 2), one),
  overload(
    'semver_is_greater_than on kubernetes.Semver.isGreaterThan(kubernetes.Semver) bool',
    (a, b) => compare(versionOf(a), versionOf(b)) > 0,
    one,
  ),
  overload(
    'semver_is_less_than on kubernetes.Semver.isLessThan(kubernetes.Semver) bool',
    (a, b) => compare(versionOf(a), versionOf(b)) < 0,
    one,
  ),
  overload(
    'semver_compare_to on kubernetes.Semver.compareTo(kubernetes.Semver) int',
    (a, b) => BigInt(compare(versionOf(a), versionOf(b))),
    one,
  ),
]
