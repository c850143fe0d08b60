const units: Readonly<Record<string, number>> = { ns: 1, us: 1e3, µs: 1e3, ms: 1e6, s: 1e9, m: 60e9, h: 3600e9 }

/** Nanoseconds of Go's notation (`1h2m3.5s`); undefined when `text` is none. */
export function parseDuration(text: string): number | undefined {
  const match = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+|0)$/.exec(text)
  if (match === null) return undefined
  let nanos = 0
  for (const [, amount, unit = ''] of (match[2] ?? '').matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g))
    nanos += Number(amount) * (units[unit] ?? 0)
  return Math.trunc(match[1] === '-' ? -nanos : nanos)
}

/** Nanoseconds in Go's notation: `1h2m3.5s`, `1.5ms`, `0s`. */
export function formatDuration(nanos: number): string {
  const size = Math.abs(nanos)
  const sign = nanos < 0 ? '-' : ''
  if (size === 0) return '0s'
  if (size < 1e9) {
    const unit = size < 1e3 ? 'ns' : size < 1e6 ? 'µs' : 'ms'
    return `${sign}${size / (units[unit] ?? 1)}${unit}`
  }
  const hours = Math.floor(size / 3600e9)
  const minutes = Math.floor((size % 3600e9) / 60e9)
  const seconds = `${(size % 60e9) / 1e9}s`
  return `${sign}${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${seconds}`
}
