/** Whole numbers that a double cannot hold, by the double that they are read as. */
export type ExactNumbers = ReadonlyMap<number, string>

const none: ExactNumbers = new Map()
const longRun = /\d{16}/
// As JSON writes them: behind a colon, a comma, a bracket or a space.
const wholeNumbers = /(?<=[:,[\s])-?\d{16,19}(?=[,\]}\s]|$)/g

const [minInt64, maxInt64] = [-(2n ** 63n), 2n ** 63n - 1n]

/**
 * The whole numbers of 64 bits in some texts that are read as another number; the first text counts most. A text without a long run of digits costs a
 * look at each of its bytes and nothing else. Unlike upstream, which reads them as they are, we know them by what they were read as: of two that are
 * read as the same, one stands for both.
 */
export function exactNumbers(...texts: readonly (Uint8Array | undefined)[]): ExactNumbers {
  let found: Map<number, string> | undefined
  for (const bytes of texts) {
    if (bytes === undefined) continue
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
    if (!longRun.test(text)) continue
    for (const [digits] of text.matchAll(wholeNumbers)) {
      const value = Number(digits)
      if (Number.isSafeInteger(value) || found?.has(value) === true) continue
      const exact = BigInt(digits)
      if (exact >= minInt64 && exact <= maxInt64 && BigInt(value) !== exact) (found ??= new Map()).set(value, digits)
    }
  }
  return found ?? none
}

/** For `JSON.stringify`: writes these numbers as they were. */
export function exactReplacer(exact: ExactNumbers): (key: string, value: unknown) => unknown {
  // Of ECMAScript's proposal, which TypeScript does not know yet.
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }
  return (_key, inner) => {
    const digits = typeof inner === 'number' ? exact.get(inner) : undefined
    return digits === undefined ? inner : rawJSON(digits)
  }
}
