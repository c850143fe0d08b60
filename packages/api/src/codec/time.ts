const whole = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$/
const rfc3339 = /^(\d{4}-\d{2}-\d{2})T((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:[.,](\d+))?(Z|[+-]\d{2}:\d{2})$/

/** Reads RFC 3339 text; undefined when it is none. `nanos` is 0 to 999,999,999, also before 1970. */
export function parseTime(text: string): { readonly seconds: number; readonly nanos: number } | undefined {
  const match = rfc3339.exec(text)
  if (match === null) return undefined
  const [, date, clock, fraction = '', zone] = match
  const ms = Date.parse(`${date}T${clock}${zone}`)
  // Date.parse rolls 31 April over; the day must be the one written.
  if (Number.isNaN(ms) || new Date(`${date}T00:00:00Z`).toISOString().slice(0, 10) !== date) return undefined
  return { seconds: ms / 1000, nanos: Number(fraction.slice(0, 9).padEnd(9, '0')) }
}

/** `2026-01-31T10:20:30Z`. */
export function formatTime(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z`
}

/** `2026-01-31T10:20:30.000456Z`; `nanos` below a microsecond are cut off. */
export function formatMicroTime(seconds: number, nanos: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(Math.floor(nanos / 1000)).padStart(6, '0')}Z`
}

/** Meta/v1 Time as upstream writes it: UTC, whole seconds (the fraction is cut off). Undefined when `text` is no RFC 3339 time. */
export function normalizeTime(text: string): string | undefined {
  if (text.length === 20 && whole.test(text) && Number(text.slice(8, 10)) < 29) return text
  const time = parseTime(text)
  return time === undefined ? undefined : formatTime(time.seconds)
}

/** Meta/v1 MicroTime as upstream writes it: UTC, six decimals. Undefined when `text` is no RFC 3339 time. */
export function normalizeMicroTime(text: string): string | undefined {
  const time = parseTime(text)
  return time === undefined ? undefined : formatMicroTime(time.seconds, time.nanos)
}
