// Upstream's alphabet: no vowels and no digits that look like them, so that no words come out.
const alphabet = 'bcdfghjklmnpqrstvwxz2456789'
const suffixLength = 5
const maxNameLength = 63

/** How often a create with `generateName` picks another name when the one it got is taken. */
export const maxGenerateNameRetries = 8

/** `prefix` (cut to 58 characters) and five random characters. `random` is uniform in [0, 1). */
export function generateName(prefix: string, random: () => number): string {
  let name = prefix.slice(0, maxNameLength - suffixLength)
  for (let count = 0; count < suffixLength; count++) name += alphabet[Math.floor(random() * alphabet.length)] ?? ''
  return name
}
