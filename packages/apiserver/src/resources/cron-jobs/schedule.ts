interface Bounds {
  readonly min: number
  readonly max: number
  readonly names?: readonly string[] | undefined
}

const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
/** Minute, hour, day of month, month, day of week. */
const fields: readonly Bounds[] = [
  { min: 0, max: 59 },
  { min: 0, max: 23 },
  { min: 1, max: 31 },
  { min: 1, max: 12, names: months },
  { min: 0, max: 6, names: days },
]
const descriptors = new Set(['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'])

function numberOf(text: string, { min, names }: Bounds): number | undefined {
  const index = names?.indexOf(text.toLowerCase()) ?? -1
  if (index >= 0) return index + min
  return /^\d+$/.test(text) ? Number(text) : undefined
}

/** What is wrong with one part of a field, such as `*`, `1-5` or `0-30/10`. */
function partProblem(part: string, bounds: Bounds): string | undefined {
  const [range = '', step, ...more] = part.split('/')
  if (more.length > 0) return `too many slashes: ${part}`
  const [low = '', high, ...rest] = range.split('-')
  if (rest.length > 0) return `too many hyphens: ${part}`
  const isAny = low === '*' || low === '?'
  const start = isAny ? bounds.min : numberOf(low, bounds)
  const end = isAny ? bounds.max : high === undefined ? start : numberOf(high, bounds)
  if (start === undefined || end === undefined)
    return `failed to parse int from ${start === undefined ? low : high}: strconv.Atoi: parsing ${JSON.stringify(start === undefined ? low : high)}: invalid syntax`
  if (step !== undefined) {
    if (!/^\d+$/.test(step)) return `failed to parse int from ${step}: strconv.Atoi: parsing ${JSON.stringify(step)}: invalid syntax`
    if (Number(step) === 0) return `step of range should be a positive number: ${part}`
  }
  if (start < bounds.min) return `beginning of range (${start}) below minimum (${bounds.min}): ${part}`
  if (end > bounds.max) return `end of range (${end}) above maximum (${bounds.max}): ${part}`
  return start > end ? `beginning of range (${start}) beyond end of range (${end}): ${part}` : undefined
}

/** Why a text is no cron schedule (five fields, or a word like `@hourly` or `@every 5m`); undefined when it is one. */
export function scheduleProblem(schedule: string): string | undefined {
  const text = schedule.replace(/^(CRON_)?TZ=\S+\s+/, '').trim()
  if (text === '') return 'empty spec string'
  if (text.startsWith('@')) {
    if (descriptors.has(text) || /^@every (\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined
    return text.startsWith('@every ') ? `failed to parse duration ${text}` : `unrecognized descriptor: ${text}`
  }
  const parts = text.split(/\s+/)
  if (parts.length !== fields.length) return `expected exactly 5 fields, found ${parts.length}: [${parts.join(' ')}]`
  for (const [index, bounds] of fields.entries()) {
    for (const part of (parts[index] ?? '').split(',').filter((item) => item !== '')) {
      const problem = partProblem(part, bounds)
      if (problem !== undefined) return problem
    }
  }
  return undefined
}
