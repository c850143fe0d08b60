import type { Case, Step } from './case.ts'
import type { Difference } from './compare.ts'

/** A kind of difference that stays, and why. */
export interface Exception {
  readonly name: string
  readonly reason: string
  readonly applies: (difference: Difference, step: Step, one: Case) => boolean
}

const withoutScheme = (value: unknown): unknown => (typeof value === 'string' ? value.replaceAll(/in scheme "[^"]*"/g, 'in scheme') : value)

const isEmpty = (value: unknown): boolean => typeof value === 'object' && value !== null && Object.keys(value).length === 0

const volatile = new Set(['resourceVersion', 'managedFields', 'clusterIP', 'clusterIPs'])

const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .filter(([name, inner]) => !volatile.has(name) && inner !== null && !isEmpty(inner))
            .toSorted(([a], [b]) => (a < b ? -1 : 1))
            .map(([name, inner]) => [name, sorted(inner)]),
        )
      : value

/** The message with its quoted document in canonical form; undefined when it quotes none. */
function quotedDocument(message: unknown): string | undefined {
  if (typeof message !== 'string') return undefined
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
function withoutValues(message: unknown): string | undefined {
  if (typeof message !== 'string') return undefined
  const text = message
    .replaceAll(/(Invalid|Unsupported) value: (?:\{.*?\}|null)(?=: )/gs, '$1 value: {}')
    .replaceAll(/\n(?:core\.|  |@@|[-+ ]).*?(?=, (?:spec|metadata)|\]$|$)/gs, '')
  return text === message && !/(?:Invalid|Unsupported) value: \{\}/.test(text) ? undefined : text
}

const isYaml = (value: unknown): boolean => typeof value === 'string' && /^(?:apiVersion|kind): /.test(value)

/** A message up to where a parser speaks; undefined when none does. */
function withoutParser(message: unknown): string | undefined {
  if (typeof message !== 'string') return undefined
  const match =
    /^(?:the object provided is unrecognized \([^)]*\): |error decoding YAML: |error converting YAML to JSON: )*(.*?(?:json parse error|error decoding patch|continue key is not valid|yaml: line 1|Syntax error)): /s.exec(
      message,
    )
  return match?.[1]
}

/** A message up to the Go type that it ends with; undefined when there is none. */
function withoutType(message: unknown): string | undefined {
  return typeof message === 'string' ? /^(.*cannot unmarshal .* of type )[\w.[\]]+$/s.exec(message)?.[1] : undefined
}

/** At most thirty; none is about a code, a reason or a stored field. */
export const exceptions: readonly Exception[] = [
  {
    name: 'name of the scheme',
    reason: 'Messages about unknown kinds name the file that the scheme is declared in, which depends on how the original was built.',
    applies: ({ expected, actual }) => withoutScheme(expected) === withoutScheme(actual),
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
    name: 'words of parsers',
    reason: 'What is wrong with text that is no JSON or YAML is told by the parser, and ours says it in other words.',
    applies: ({ expected, actual }) => {
      const theirs = withoutParser(expected)
      return theirs !== undefined && theirs === withoutParser(actual)
    },
  },
  {
    name: 'layout of YAML',
    reason: 'YAML answers have their fields in the order of JSON and indent lists; they read as the same object.',
    applies: ({ path, expected, actual }) => path === 'body' && isYaml(expected) && isYaml(actual),
  },
  {
    name: 'bookmarks',
    reason: 'When bookmarks come that nobody waits for is up to the server.',
    applies: ({ path, actual }) =>
      path === 'body' && JSON.stringify(actual).startsWith('{"object"') && JSON.stringify(actual).includes('"type":"BOOKMARK"'),
  },
  {
    name: 'names of Go types',
    reason:
      'A value of a wrong JSON type is told with the Go type of what it should have been; inside lists our schema knows the JSON type only.',
    applies: ({ expected, actual }) => {
      const theirs = withoutType(expected)
      return theirs !== undefined && theirs === withoutType(actual)
    },
  },
  {
    name: 'quoted documents',
    reason: 'Messages that quote a whole JSON document have its fields in another order, and its volatile ones.',
    applies: ({ expected, actual }) => {
      const [theirs, ours] = [quotedDocument(expected), quotedDocument(actual)]
      return theirs !== undefined && theirs === ours
    },
  },
  {
    name: 'internal values',
    reason:
      'Messages that quote a Go struct show names and zero values of internal types that exist in Go only; the words around them are equal.',
    applies: ({ expected, actual }) => withoutValues(expected) !== undefined && withoutValues(expected) === withoutValues(actual),
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
