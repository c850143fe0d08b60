import { cidrContains, ipFamilyOf, ipOfNumber, numberOfIp, rangeOfCidr } from '../shared/ip.ts'

/** Why a value could not be had; upstream's texts. */
export class PoolError extends Error {
  override readonly name = 'PoolError'
  /** True when nothing is left: the server's trouble, not the client's. */
  readonly isFull: boolean
  constructor(message: string, isFull = false) {
    super(message)
    this.isFull = isFull
  }
}

/** A finite set of numbers, of which some are taken; upstream's two bands: automatic ones come from the upper band first, so that chosen ones in the lower seldom collide. */
interface Bands {
  readonly first: bigint
  /** Of both bands together. */
  readonly size: bigint
  /** Size of the lower band. */
  readonly offset: bigint
}

const clamp = (value: bigint, low: bigint, high: bigint): bigint => (value < low ? low : value > high ? high : value)

/** Picks a free number: random start, then one after the other. */
function pick(bands: Bands, random: () => number, isTaken: (value: bigint) => boolean): bigint | undefined {
  const { first, size, offset } = bands
  const scan = (from: bigint, count: bigint): bigint | undefined => {
    if (count <= 0n) return undefined
    const start = BigInt(Math.floor(random() * Number(count)))
    for (let step = 0n; step < count; step += 1n) {
      const value = first + from + ((start + step) % count)
      if (!isTaken(value)) return value
    }
    return undefined
  }
  return scan(offset, size - offset) ?? scan(0n, offset)
}

/** Cluster IPs of one family. Not aware of services: the caller says what is taken. */
export class IpPool {
  readonly family: 'IPv4' | 'IPv6'
  readonly cidr: string
  readonly #bands: Bands
  readonly #random: () => number

  /** Throws a TypeError when `cidr` is none. */
  constructor(cidr: string, random: () => number) {
    const range = rangeOfCidr(cidr)
    if (range === undefined) throw new TypeError(`"${cidr}" is not a CIDR`)
    this.cidr = cidr
    this.family = range.family
    this.#random = random
    // The network address is nobody's; of IPv4 the broadcast address too.
    const reserved = range.family === 'IPv4' ? 2n : 1n
    const offset = range.size <= 16n ? 0n : clamp(range.size / 16n, 16n, 256n)
    this.#bands = {
      first: range.first + 1n,
      size: range.size > reserved ? range.size - reserved : 0n,
      offset,
    }
  }

  /** Throws a {@link PoolError} when the address is outside the range or taken. */
  check(ip: string, isTaken: (ip: string) => boolean): void {
    const value = numberOfIp(ip)
    const { first, size } = this.#bands
    if (ipFamilyOf(ip) !== this.family || !cidrContains(this.cidr, ip) || value < first || value >= first + size) {
      throw new PoolError(`the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${this.cidr}`)
    }
    if (isTaken(ip)) throw new PoolError('provided IP is already allocated')
  }

  /** A free address. Throws a {@link PoolError} when there is none. */
  next(isTaken: (ip: string) => boolean): string {
    const value = pick(this.#bands, this.#random, (candidate) => isTaken(ipOfNumber(candidate, this.family)))
    if (value === undefined) throw new PoolError('range is full', true)
    return ipOfNumber(value, this.family)
  }
}

/** Node ports, `first` to `last`, both included. */
export class PortPool {
  readonly #first: number
  readonly #last: number
  readonly #bands: Bands
  readonly #random: () => number

  constructor(first: number, last: number, random: () => number) {
    this.#first = first
    this.#last = last
    this.#random = random
    const size = BigInt(last - first + 1)
    this.#bands = { first: BigInt(first), size, offset: size <= 16n ? 0n : clamp(size / 32n, 16n, 128n) }
  }

  /** Throws a {@link PoolError} when the port is outside the range or taken. */
  check(port: number, isTaken: (port: number) => boolean): void {
    if (port < this.#first || port > this.#last) {
      throw new PoolError(`provided port is not in the valid range. The range of valid ports is ${this.#first}-${this.#last}`)
    }
    if (isTaken(port)) throw new PoolError('provided port is already allocated')
  }

  /** A free port. Throws a {@link PoolError} when there is none. */
  next(isTaken: (port: number) => boolean): number {
    const value = pick(this.#bands, this.#random, (candidate) => isTaken(Number(candidate)))
    if (value === undefined) throw new PoolError('range is full', true)
    return Number(value)
  }
}
