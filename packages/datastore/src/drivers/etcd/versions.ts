/**
 * Whether an etcd of this version drops, when it compacts to a revision, the deletions of that very revision: a watch from there never hears of them
 * (etcd-io/etcd#18089 and #19179). Mended in 3.4.36, 3.5.18 and 3.6.0; what cannot be read is taken for old.
 */
export function hasTombstoneBug(version: string): boolean {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? []
  if (major === undefined) return true
  const [a, b, c] = [Number(major), Number(minor), Number(patch)]
  if (a !== 3) return a < 3
  if (b === 4) return c < 36
  return b === 5 ? c < 18 : b < 4
}
