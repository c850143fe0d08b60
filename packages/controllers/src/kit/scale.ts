import type { IntOrString } from '@k3s/api'

/**
 * A count given as a number or a percentage of `total`, rounded up or down. A text that is neither counts as 0: the API server refuses it.
 */
export function scaledValue(value: IntOrString | undefined, total: number, round: 'up' | 'down'): number {
  if (value === undefined) return 0
  if (typeof value === 'number') return value
  const match = /^(\d+)%$/.exec(value)
  if (match === null) return /^\d+$/.test(value) ? Number(value) : 0
  const exact = (Number(match[1]) * total) / 100
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact)
}
