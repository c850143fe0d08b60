import ipaddr from 'ipaddr.js'

/** A range of addresses as numbers; `bits` is 32 or 128. */
interface Range {
  readonly first: bigint
  readonly prefix: number
  readonly bits: number
}

function parseRange(cidr: string): Range | undefined {
  if (!ipaddr.isValidCIDR(cidr)) return undefined
  const [address, prefix] = ipaddr.parseCIDR(cidr)
  const bytes = address.toByteArray()
  const bits = bytes.length * 8
  const value = bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n)
  const size = BigInt(bits - prefix)
  return { first: (value >> size) << size, prefix, bits }
}

function formatRange({ first, prefix, bits }: Range): string {
  const bytes = Array.from({ length: bits / 8 }, (_, i) => Number((first >> BigInt(bits - 8 * (i + 1))) & 255n))
  return `${ipaddr.fromByteArray(bytes).toString()}/${prefix}`
}

/** Gives subranges of one length out of one range, lowest first. Follows the order of upstream's CidrSet in going on after the last one given. */
export class CidrPool {
  readonly #range: Range
  readonly #prefix: number
  readonly #used = new Map<bigint, number>()
  #next = 0n

  /** Throws when `cidr` is no CIDR or shorter than `prefix`. */
  constructor(cidr: string, prefix: number) {
    const range = parseRange(cidr)
    if (range === undefined || prefix < range.prefix || prefix > range.bits)
      throw new Error(`Cannot divide "${cidr}" into ranges of length ${prefix}`)
    this.#range = range
    this.#prefix = prefix
  }

  /** Marks every subrange that overlaps `cidr` as used, once more for each call. Others, and what is no CIDR, are ignored. */
  occupy(cidr: string): void {
    for (const index of this.#indexesOf(cidr)) this.#used.set(index, (this.#used.get(index) ?? 0) + 1)
  }

  /** Reverses one {@link occupy}. */
  release(cidr: string): void {
    for (const index of this.#indexesOf(cidr)) {
      const count = (this.#used.get(index) ?? 0) - 1
      if (count > 0) this.#used.set(index, count)
      else this.#used.delete(index)
    }
  }

  /** A free subrange, which the caller occupies; `undefined` when none is left. */
  next(): string | undefined {
    const total = 1n << BigInt(this.#prefix - this.#range.prefix)
    if (BigInt(this.#used.size) >= total) return undefined
    for (let tried = 0n; tried < total; tried++) {
      const index = (this.#next + tried) % total
      if (this.#used.has(index)) continue
      this.#next = (index + 1n) % total
      const { first, bits } = this.#range
      return formatRange({ first: first + (index << BigInt(bits - this.#prefix)), prefix: this.#prefix, bits })
    }
    return undefined
  }

  *#indexesOf(cidr: string): Generator<bigint> {
    const other = parseRange(cidr)
    const { first, bits, prefix } = this.#range
    if (other === undefined || other.bits !== bits) return
    const end = first + (1n << BigInt(bits - prefix)) - 1n
    const otherEnd = other.first + (1n << BigInt(bits - other.prefix)) - 1n
    if (other.first > end || otherEnd < first) return
    const step = BigInt(bits - this.#prefix)
    const from = ((other.first > first ? other.first : first) - first) >> step
    const to = ((otherEnd < end ? otherEnd : end) - first) >> step
    for (let index = from; index <= to; index++) yield index
  }
}
