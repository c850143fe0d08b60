/** A line that a component logged, in a form in which lines of other runs can be equal to it. */
export interface LogEntry {
  readonly severity: 'E' | 'W'
  /** Without times, names, addresses, numbers. */
  readonly text: string
}

/** How often an entry came on each side, with one of its lines as it was. */
export interface EntryCount {
  readonly severity: LogEntry['severity']
  readonly text: string
  ours: number
  original: number
  readonly example: string
}

// I1124 00:12:13.123456   4711 controller.go:123] message
const header = /^([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ ([^ \]]+?)(?::\d+)?\] (.*)$/s

/** A name that the plan gives. */
export const planName = /\b(?:ns|dep|sts|ds|rc|job|cj|cm|pod|quota|limits|sa|svc|svch|hpa|pdb|ing|own|ep|pv|tok|csr|pc|app|cr)-\d+/

const replacements: readonly (readonly [RegExp, string])[] = [
  // A whole object, as Go prints it.
  [/&((?:\w+\.)?[A-Z]\w+)\{.*\}/gs, '&$1{}'],
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uid>'],
  [/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d{4}( [A-Z]+)?|Z)?( m=[+-][\d.]+)?/g, '<time>'],
  [/(https?:\/\/)?127\.0\.0\.1:\d+(->127\.0\.0\.1:\d+)?/g, '<server>'],
  [/\b\d{1,3}(\.\d{1,3}){3}(\/\d+)?\b/g, '<address>'],
  // A name of the plan, and what controllers made of it.
  [new RegExp(`${planName.source}(-[a-z0-9-]*)?`, 'g'), '<name>'],
  [/\bgadgets\d+(one)?\b/gi, '<gadgets>'],
  [/\bhollow-\d+/g, '<node>'],
  [/\b(default|kubernetes|kube-root-ca\.crt)-[a-z0-9]{5,}\b/g, '<$1>'],
  [/\b\d+(\.\d+)?(ns|µs|ms|s|m|h)\b(\d+(\.\d+)?(ms|s|m)\b)*/g, '<duration>'],
  [/\b\d{2,}(\.\d+)?\b/g, '<number>'],
]

/**
 * What code that controllers share says, each in its own words around it. Who says it is chance and how often is not, so each is one kind of error for all
 * who say it, named after the code.
 */
const statements: readonly { readonly code: string; readonly text: RegExp }[] = [
  // A controller has work again before its informer heard of its own last write: the answer to the write and the event of it are under way at once.
  {
    code: 'pkg/controller/util/consistency/consistency.go',
    text: /read version: <number> is not as new as written version: <number> for group resource [a-z.]+/,
  },
]

/** The kind of what is logged in a file of a component's source. */
function kindOf(file: string, message: string): string {
  const text = normalise(message)
  for (const { code, text: statement } of statements) {
    const [stated] = statement.exec(text) ?? []
    if (stated !== undefined) return `${code}: ${stated}`
  }
  return `${file}: ${text}`
}

/** The errors and warnings among a component's lines: klog's, and for kubectl all that it says on standard error. Follow-up lines of klog (stacks) belong to the line before them. */
export function* entriesOf(lines: Iterable<string>, format: 'klog' | 'plain'): Generator<LogEntry & { readonly line: string }> {
  for (const line of lines) {
    const [, severity, file = '', message = ''] = header.exec(line) ?? []
    if (severity !== undefined) {
      if (severity !== 'I') yield { severity: severity === 'W' ? 'W' : 'E', text: kindOf(file, message), line }
    } else if (/^(panic|fatal error): /.test(line) || (format === 'plain' && line !== ''))
      yield { severity: line.startsWith('Warning') ? 'W' : 'E', text: normalise(line), line }
  }
}

export function normalise(text: string): string {
  return replacements.reduce((result, [pattern, by]) => result.replaceAll(pattern, by), text)
}

/** When things were deleted, by name: milliseconds since 1970. */
export type Deletions = ReadonlyMap<string, number>

// How long after a deletion somebody may still be at work on what is gone.
const goneMs = 10_000
const goneName = new RegExp(`"(${planName.source})[^"]*\\\\?" not found`)
const klogTime = /^E(\d\d)(\d\d) (\d\d):(\d\d):(\d\d)/

/**
 * Whether a line says, in time, no more than that a thing is not found which was just deleted, by itself or with all of its namespace: who was at
 * work on it says so or not, by chance.
 */
export function isOfDeleted(line: string, deletions: Deletions): boolean {
  const [, name] = goneName.exec(line) ?? []
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0] = (klogTime.exec(line) ?? []).slice(1).map(Number)
  if (name === undefined || month === 0) return false
  return [name, ...(line.match(/\bns-\d+/g) ?? [])].some((one) => {
    const deleted = deletions.get(one)
    if (deleted === undefined) return false
    // Of the year in which it was deleted, and cut to seconds.
    const at = new Date(new Date(deleted).getFullYear(), month - 1, day, hour, minute, second).getTime()
    return at >= deleted - 1000 && at <= deleted + goneMs
  })
}

/** Both sides' entries, those of the severest and most frequent first; without what {@link isOfDeleted}. */
export function countEntries(
  sides: Readonly<Record<'ours' | 'original', Iterable<string>>>,
  format: 'klog' | 'plain',
  deletions: Readonly<Record<'ours' | 'original', Deletions>> = { ours: new Map(), original: new Map() },
): readonly EntryCount[] {
  const counts = new Map<string, EntryCount>()
  for (const side of ['ours', 'original'] as const)
    for (const { severity, text, line } of entriesOf(sides[side], format)) {
      if (isOfDeleted(line, deletions[side])) continue
      const key = `${severity} ${text}`
      const count = counts.get(key) ?? { severity, text, ours: 0, original: 0, example: line }
      count[side]++
      counts.set(key, count)
    }
  return [...counts.values()].toSorted((a, b) => (a.severity < b.severity ? -1 : a.severity > b.severity ? 1 : b.ours - a.ours))
}

// What chance makes of rare lines.
const [oftenFactor, oftenLeast] = [3, 10]

/** Whether an entry comes with ours alone. */
export const isOursOnly = ({ ours, original }: EntryCount): boolean => ours > 0 && original === 0

/** Whether an entry comes with the original alone: as many kinds as these are may come with ours alone by chance. */
export const isOriginalOnly = ({ ours, original }: EntryCount): boolean => original > 0 && ours === 0

/** Whether it comes far more often with ours. */
export const isMoreOften = ({ ours, original }: EntryCount): boolean => original > 0 && ours >= oftenLeast && ours > original * oftenFactor
