import { Cron } from 'croner'

/** When a CronJob is due. */
export interface Schedule {
  /** The first time after `afterMs`, in milliseconds since the epoch; `undefined` when there is none. */
  next(afterMs: number): number | undefined
  /** The last time in (`afterMs`, `untilMs`], and how many there are, counted up to 101. */
  last(afterMs: number, untilMs: number): { readonly atMs: number; readonly missed: number } | undefined
}

const maxCounted = 101
const units: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000 }

/** Reads a cron expression of five fields, `@hourly` and its like, or `@every 1h30m`. Throws on anything else. */
export function parseSchedule(text: string, timeZone: string | undefined): Schedule {
  const every = /^@every\s+((?:\d+[hms])+)$/.exec(text)
  if (every !== null) return everySchedule(every[1] ?? '')
  const zoned = /^(?:CRON_)?TZ=(\S+)\s+(.*)$/.exec(text)
  const cron = new Cron(zoned?.[2] ?? text, { mode: '5-part', timezone: zoned?.[1] ?? timeZone ?? 'UTC', paused: true })
  const next = (afterMs: number): number | undefined => cron.nextRun(new Date(afterMs))?.getTime()
  return {
    next,
    last(afterMs, untilMs) {
      let [atMs, missed] = [undefined as number | undefined, 0]
      for (let at = next(afterMs); at !== undefined && at <= untilMs && missed < maxCounted; at = next(at)) {
        atMs = at
        missed++
      }
      if (atMs === undefined || missed < maxCounted) return atMs === undefined ? undefined : { atMs, missed }
      // Too many to walk through: look back from the end.
      const latest = cron.previousRuns(1, new Date(untilMs + 1000))[0]?.getTime() ?? atMs
      return { atMs: latest <= untilMs ? latest : atMs, missed }
    },
  }
}

function everySchedule(duration: string): Schedule {
  let periodMs = 0
  for (const [, amount = '0', unit = 's'] of duration.matchAll(/(\d+)([hms])/g)) periodMs += Number(amount) * (units[unit] ?? 0)
  // Whole seconds, at least one.
  periodMs = Math.max(1000, periodMs)
  const next = (afterMs: number): number => Math.floor(afterMs / 1000) * 1000 + periodMs
  return {
    next,
    last(afterMs, untilMs) {
      const first = next(afterMs)
      if (first > untilMs) return undefined
      const count = Math.floor((untilMs - first) / periodMs)
      return { atMs: first + count * periodMs, missed: Math.min(maxCounted, count + 1) }
    },
  }
}
