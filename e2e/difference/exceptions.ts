import type { Case, Step } from './case.ts'
import type { Difference } from './compare.ts'

/** A kind of difference that stays, and why. */
export interface Exception {
  readonly name: string
  readonly reason: string
  readonly applies: (difference: Difference, step: Step, one: Case) => boolean
}

/** Texts for people: everything else that an answer says is for programs. */
const isMessage = ({ path }: Difference): boolean => /^body\.(?:details\.causes\[\d+\]\.)?message$/.test(path)

/** Applies to messages that are equal when `essence` makes the same of both; undefined when it finds nothing to leave out. */
const ofMessages =
  (essence: (message: string) => string | undefined) =>
  (difference: Difference): boolean => {
    const { expected, actual } = difference
    if (!isMessage(difference) || typeof expected !== 'string' || typeof actual !== 'string') return false
    const theirs = essence(expected)
    return theirs !== undefined && theirs === essence(actual)
  }

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const volatile = new Set(['resourceVersion', 'clusterIP', 'clusterIPs'])

const ownerOf = (entry: unknown): string =>
  isRecord(entry) ? [entry['manager'], entry['operation'], entry['subresource'], entry['apiVersion']].join(' ') : ''

const sorted = (value: unknown, key = ''): unknown => {
  if (Array.isArray(value)) {
    const items = value.map((item) => sorted(item))
    return key === 'managedFields' ? items.toSorted((a, b) => (ownerOf(a) < ownerOf(b) ? -1 : 1)) : items
  }
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !volatile.has(name))
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner, name)]),
  )
}

/** The message with its quoted document in canonical form; undefined when it quotes none. */
function quotedDocument(message: string): string | undefined {
  let hasDocument = false
  const text = message.replaceAll(/"\{(?:[^"\\]|\\.)*\}"/g, (quoted) => {
    try {
      const document: unknown = JSON.parse(JSON.parse(quoted) as string) // a quoted string is one
      hasDocument = true
      return JSON.stringify(sorted(document))
    } catch {
      return quoted
    }
  })
  return hasDocument ? text : undefined
}

/** The message without the Go values and the differences of Go values that it shows; undefined when it shows none. */
function withoutValues(message: string): string | undefined {
  const text = message
    .replaceAll(/(Invalid|Unsupported) value: (?:\{.*?\}|null)(?=: )/gs, '$1 value: {}')
    .replaceAll(/\n(?:core\.|  |@@|[-+ ]).*?(?=, (?:spec|metadata)|\]$|$)/gs, '')
  return text === message && !/(?:Invalid|Unsupported) value: \{\}/.test(text) ? undefined : text
}

/** A message without what the reader of YAML says; undefined when it says nothing. What follows may show the beginning of the text. */
function withoutParser(message: string): string | undefined {
  const text = message.replace(/(yaml: line \d+: ).*?((?: \([0-9a-f]*(?: \.\.\.)?\))?)$/s, '$1$2')
  return text === message ? undefined : text
}

/** At most thirty; none is about a code, a reason or a stored field. */
export const exceptions: readonly Exception[] = [
  {
    name: 'name of the scheme',
    reason: 'Messages about unknown kinds name the file that the scheme is declared in, which depends on how the original was built.',
    applies: ofMessages((message) => {
      const text = message.replaceAll(/in scheme "[^"]*"/g, 'in scheme')
      return text === message ? undefined : text
    }),
  },
  {
    name: 'address of the server',
    reason: 'Where a server says that it is reached is where it was started.',
    applies: ({ path }) => path.endsWith('.serverAddress'),
  },
  {
    name: 'build of the server',
    reason: 'How a program was built, and of what, is its own.',
    applies: ({ path }, step) => step.path === '/version' && /^body\.(?:build|compiler|git|go|platform)/.test(path),
  },
  {
    name: 'words of the reader of YAML',
    reason: 'What is wrong with a line of text that is no YAML is told by who reads it, and ours says it in other words.',
    applies: ofMessages(withoutParser),
  },
  {
    name: 'quoted documents',
    reason: 'Messages that quote a whole JSON document have its fields in another order, and its versions and random addresses.',
    applies: ofMessages(quotedDocument),
  },
  {
    name: 'internal values',
    reason:
      'Messages that quote a Go struct show names and zero values of internal types that exist in Go only; the words around them are equal.',
    applies: ofMessages(withoutValues),
  },
  {
    name: 'descriptions of columns',
    reason: 'The text that explains a column of a Table is our own; names, types, formats and priorities are equal.',
    applies: ({ path }) => /^body(\[\d+\]\.object)?\.columnDefinitions\[\d+\]\.description$/.test(path),
  },
]

/** The first exception that covers a difference. */
export function exceptionFor(one: Case, step: Step, difference: Difference): Exception | undefined {
  return exceptions.find(({ applies }) => applies(difference, step, one))
}
