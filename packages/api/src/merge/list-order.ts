import { isObject } from '../codec/decode-object.ts'

const identity = (item: unknown, mergeKey: string): unknown => (mergeKey === '' ? item : isObject(item) ? item[mergeKey] : undefined)

/** Items whose merge key (the item itself, when `mergeKey` is empty) is in `by`, and the others. Keeps the order. */
export function partition(
  items: readonly unknown[],
  by: readonly unknown[],
  mergeKey: string,
): { readonly inside: unknown[]; readonly outside: unknown[] } {
  const known = new Set(by.map((item) => identity(item, mergeKey)))
  const inside: unknown[] = []
  const outside: unknown[] = []
  for (const item of items) (known.has(identity(item, mergeKey)) ? inside : outside).push(item)
  return { inside, outside }
}

/**
 * Weaves two lists into one, as upstream does: the patch's order counts most, the server's next. An item only the server has comes before
 * the first patched item that followed it on the server.
 */
export function mergeOrder(lists: {
  readonly patchItems: readonly unknown[]
  readonly serverItems: readonly unknown[]
  readonly patchOrder: readonly unknown[]
  readonly serverOrder: readonly unknown[]
  readonly mergeKey: string
}): unknown[] {
  const { mergeKey } = lists
  const rank = (order: readonly unknown[]): Map<unknown, number> => {
    const ranks = new Map<unknown, number>()
    for (const [index, item] of order.entries()) if (!ranks.has(identity(item, mergeKey))) ranks.set(identity(item, mergeKey), index)
    return ranks
  }
  const patchRank = rank(lists.patchOrder)
  const serverRank = rank(lists.serverOrder)
  const by = (ranks: Map<unknown, number>) => (a: unknown, b: unknown) =>
    (ranks.get(identity(a, mergeKey)) ?? -1) - (ranks.get(identity(b, mergeKey)) ?? -1)
  const right = lists.patchItems.toSorted(by(patchRank))
  const left = lists.serverItems.toSorted(by(serverRank))
  const result: unknown[] = []
  let at = 0
  for (const item of right) {
    const place = serverRank.get(identity(item, mergeKey))
    for (; at < left.length; at++) {
      const leftPlace = serverRank.get(identity(left[at], mergeKey))
      if (place === undefined || leftPlace === undefined || leftPlace >= place) break
      result.push(left[at])
    }
    result.push(item)
  }
  return [...result, ...left.slice(at)]
}
