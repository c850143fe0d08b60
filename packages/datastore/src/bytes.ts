import type { Bytes, KeyRange } from './contract.ts'

/** Bytes of no length. */
export const emptyBytes: Bytes = new Uint8Array(0)

/** Byte order, as `memcmp`: negative, 0 or positive. */
export function compareBytes(a: Bytes, b: Bytes): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function equalBytes(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && compareBytes(a, b) === 0
}

/** Whether a key lies in a range; see {@link KeyRange} for what `end` means. */
export function isInRange(range: KeyRange, key: Bytes): boolean {
  if (range.end === undefined) return equalBytes(range.start, key)
  return compareBytes(key, range.start) >= 0 && (range.end.length === 0 || compareBytes(key, range.end) < 0)
}

/** The range of all keys that begin with `prefix`; everything for an empty prefix. */
export function prefixRange(prefix: Bytes): KeyRange {
  for (let last = prefix.length - 1; last >= 0; last--) {
    const byte = prefix[last] ?? 0
    if (byte === 0xff) continue
    const end = Uint8Array.from(prefix.subarray(0, last + 1)) // not slice(): a Buffer's shares the memory
    end[last] = byte + 1
    return { start: prefix, end }
  }
  return { start: prefix, end: emptyBytes }
}

/** One character a byte: compares, as a string, in byte order, and serves as a map key. */
export function toBinaryString(bytes: Bytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/**
 * Gives an array's memory back at once, when its buffer holds nothing else. Left to the collector, large short-lived buffers make V8 collect the
 * whole heap every some megabytes. Afterwards the array, and every view of it, is empty: only who owns it alone may do so.
 */
export function releaseBytes({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}
