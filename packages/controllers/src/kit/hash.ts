import { createHash } from 'node:crypto'
import { canonicalJson } from './equal.ts'

/** No vowels and no digits that look like them, so that no hash spells a word; the alphabet of upstream's safe encoding. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789'
const hashLength = 10

/**
 * Ten characters that are safe in names and label values and depend only on what the value means to the API.
 * `collisionCount` gives the same value another hash; absent is not the same as 0.
 */
export function templateHash(value: unknown, collisionCount?: number): string {
  const digest = createHash('sha256').update(canonicalJson(value))
  if (collisionCount !== undefined) digest.update(`\n${collisionCount}`)
  let number = digest.digest().readBigUInt64BE()
  let text = ''
  for (let i = 0; i < hashLength; i++) {
    text += alphabet.charAt(Number(number % 27n))
    number /= 27n
  }
  return text
}
