import { overload, type Overload } from '../overload.ts'
import { Duration, EvaluationError, Timestamp, type Value } from '../values.ts'

const units: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  µs: 1000n,
  μs: 1000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

/** Reads Go's notation of durations, such as `1h30m`. Throws EvaluationError. */
export function parseDuration(text: string): Duration {
  const match = /^([-+]?)((?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)$/.exec(text)
  if (match === null) throw new EvaluationError(`time: invalid duration ${JSON.stringify(text)}`)
  let total = 0n
  for (const [, number = '', unit = ''] of (match[2] ?? '').matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g)) {
    const [whole = '', fraction = ''] = number.split('.')
    const scale = units[unit] ?? 0n
    total += BigInt(whole === '' ? '0' : whole) * scale
    if (fraction !== '') total += (BigInt(fraction.slice(0, 18)) * scale) / 10n ** BigInt(Math.min(18, fraction.length))
  }
  return new Duration(match[1] === '-' ? -total : total)
}

/** Reads RFC 3339. Throws EvaluationError. */
export function parseTimestamp(text: string): Timestamp {
  const match = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/.exec(text)
  const fail = (): EvaluationError =>
    new EvaluationError(`parsing time ${JSON.stringify(text)} as "2006-01-02T15:04:05Z07:00": cannot parse`)
  if (match === null) throw fail()
  const [, year, month, day, hour, minute, second, fraction = '', zone = 'Z'] = match
  const [y, mo, d, h, mi, s] = [year, month, day, hour, minute, second].map(Number)
  const date = new Date(0)
  date.setUTCFullYear(y ?? 0, (mo ?? 1) - 1, d)
  date.setUTCHours(h ?? 0, mi ?? 0, s ?? 0)
  const isReal = date.getUTCMonth() + 1 === mo && date.getUTCDate() === d && (h ?? 0) < 24 && (mi ?? 0) < 60 && (s ?? 0) < 60
  if (!isReal) throw fail()
  const offset = /^[zZ]$/.test(zone) ? 0 : (zone.startsWith('-') ? -1 : 1) * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6)))
  const seconds = BigInt(date.getTime()) / 1000n - BigInt(offset * 60)
  return new Timestamp(seconds * 1_000_000_000n + BigInt(fraction.slice(1, 10).padEnd(9, '0') || '0'))
}

/** Seconds with as many decimals as are needed: `90.5s`. */
export function formatDuration(nanoseconds: bigint): string {
  const sign = nanoseconds < 0n ? '-' : ''
  const absolute = nanoseconds < 0n ? -nanoseconds : nanoseconds
  return `${sign}${absolute / 1_000_000_000n}${decimals(absolute % 1_000_000_000n)}s`
}

const decimals = (nanoseconds: bigint): string => {
  const text = nanoseconds.toString().padStart(9, '0').replace(/0+$/, '')
  return text === '' ? '' : `.${text}`
}

/** RFC 3339 in UTC. */
export function formatTimestamp(nanoseconds: bigint): string {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n
  const date = new Date(Number((nanoseconds - rest) / 1_000_000n))
  return `${date
    .toISOString()
    .replace(/^[+-]\d\d(\d{4})/, '$1')
    .slice(0, 19)}${decimals(rest)}Z`
}

interface Parts {
  readonly year: number
  /** From 0. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly milliseconds: number
  /** Sunday is 0. */
  readonly weekday: number
  readonly yearDay: number
}

function partsOf(value: Value, zone: Value | undefined): Parts {
  if (!(value instanceof Timestamp)) throw new EvaluationError('no such overload')
  const rest = ((value.nanoseconds % 1_000_000n) + 1_000_000n) % 1_000_000n
  const milliseconds = Number((value.nanoseconds - rest) / 1_000_000n)
  const local = new Date(milliseconds + offsetOf(milliseconds, typeof zone === 'string' ? zone : 'UTC'))
  const start = new Date(local)
  start.setUTCMonth(0, 1)
  return {
    year: local.getUTCFullYear(),
    month: local.getUTCMonth(),
    day: local.getUTCDate(),
    hour: local.getUTCHours(),
    minute: local.getUTCMinutes(),
    second: local.getUTCSeconds(),
    milliseconds: local.getUTCMilliseconds(),
    weekday: local.getUTCDay(),
    yearDay: Math.floor((local.getTime() - start.getTime()) / 86_400_000),
  }
}

/** Milliseconds that a zone is ahead of UTC at a time. */
function offsetOf(milliseconds: number, zone: string): number {
  if (zone === 'UTC' || zone === '') return 0
  const fixed = /^([+-]?)(\d{1,2}):(\d{2})$/.exec(zone)
  if (fixed !== null) return (fixed[1] === '-' ? -1 : 1) * (Number(fixed[2]) * 60 + Number(fixed[3])) * 60_000
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    })
    const parts = Object.fromEntries(format.formatToParts(milliseconds).map(({ type, value }) => [type, Number(value)]))
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(milliseconds / 1000) * 1000
  } catch {
    // Intl only says that it does not know the zone.
    throw new EvaluationError(`unknown time zone ${zone}`)
  }
}

const getters: readonly (readonly [string, (parts: Parts) => number])[] = [
  ['getFullYear', ({ year }) => year],
  ['getMonth', ({ month }) => month],
  ['getDayOfYear', ({ yearDay }) => yearDay],
  ['getDayOfMonth', ({ day }) => day - 1],
  ['getDate', ({ day }) => day],
  ['getDayOfWeek', ({ weekday }) => weekday],
  ['getHours', ({ hour }) => hour],
  ['getMinutes', ({ minute }) => minute],
  ['getSeconds', ({ second }) => second],
  ['getMilliseconds', ({ milliseconds }) => milliseconds],
]

const duration = (value: Value): bigint => {
  if (!(value instanceof Duration)) throw new EvaluationError('no such overload')
  return value.nanoseconds
}

/** Timestamps and durations. */
export const timeFunctions: readonly Overload[] = [
  ...getters.flatMap(([name, read]) => [
    overload(`timestamp_to_${name} on timestamp.${name}() int`, (a = null) => BigInt(read(partsOf(a, undefined)))),
    overload(`timestamp_to_${name}_with_tz on timestamp.${name}(string) int`, (a = null, zone) => BigInt(read(partsOf(a, zone)))),
  ]),
  overload('duration_to_hours on duration.getHours() int', (a = null) => duration(a) / 3_600_000_000_000n),
  overload('duration_to_minutes on duration.getMinutes() int', (a = null) => duration(a) / 60_000_000_000n),
  overload('duration_to_seconds on duration.getSeconds() int', (a = null) => duration(a) / 1_000_000_000n),
  overload('duration_to_milliseconds on duration.getMilliseconds() int', (a = null) => duration(a) / 1_000_000n),
  overload('string_to_timestamp timestamp(string) timestamp', (a = null) => parseTimestamp(typeof a === 'string' ? a : '')),
  overload('timestamp_to_timestamp timestamp(timestamp) timestamp', (a = null) => a),
  overload('int64_to_timestamp timestamp(int) timestamp', (a = null) => new Timestamp((typeof a === 'bigint' ? a : 0n) * 1_000_000_000n)),
  overload('string_to_duration duration(string) duration', (a = null) => parseDuration(typeof a === 'string' ? a : '')),
  overload('duration_to_duration duration(duration) duration', (a = null) => a),
  overload('int64_to_duration duration(int) duration', (a = null) => new Duration(typeof a === 'bigint' ? a : 0n)),
]
