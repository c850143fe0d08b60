import { greatestOf } from '@k3s/lifecycle'
/** One level's part in a division of seats: `lower` ≤ what it gets ≤ `upper`. */
export interface SeatClaim {
  readonly lower: number
  readonly upper: number
  /** What it could use. */
  readonly target: number
}

// A level without a target still has a part of what nobody else wants: upstream's number.
const minTarget = 0.001

export interface SeatAllocation {
  /** In the order of the claims; not whole numbers. */
  readonly seats: readonly number[]
  /** The part of its target that each level gets within its bounds. */
  readonly fairFraction: number
}

/** Divides `total` seats so that each level gets the same fraction of its target, within its bounds. When the bounds allow no such division, each gets its nearer bound. */
export function allocateSeats(total: number, claims: readonly SeatClaim[]): SeatAllocation {
  const at = (fraction: number): number[] =>
    claims.map(({ lower, upper, target }) => Math.max(lower, Math.min(upper, fraction * Math.max(target, minTarget))))
  const sumOf = (seats: readonly number[]): number => seats.reduce((sum, one) => sum + one, 0)
  let low = 0
  let high = Math.max(1, greatestOf(claims.map(({ upper, target }) => upper / Math.max(target, minTarget))))
  if (sumOf(at(low)) >= total) return { seats: at(low), fairFraction: low }
  if (sumOf(at(high)) <= total) return { seats: at(high), fairFraction: high }
  // The sum grows with the fraction: halving finds it to the last bit.
  for (let step = 0; step < 100 && high - low > Number.EPSILON * high; step++) {
    const middle = (low + high) / 2
    if (sumOf(at(middle)) < total) low = middle
    else high = middle
  }
  return { seats: at(high), fairFraction: high }
}
