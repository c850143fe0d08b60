import { createHash } from 'node:crypto'

/**
 * Deals `handSize` different queues out of `queues` to a flow: the same flow always gets the same hand, and two flows seldom share a whole one.
 * `handSize` is at most `queues`; queues are numbered from 0. Dealing follows the shuffle sharding of KEP-1040.
 */
export function dealHand(flow: string, queues: number, handSize: number): readonly number[] {
  let entropy = createHash('sha256').update(flow).digest().readBigUInt64LE(0)
  const hand: number[] = []
  for (let dealt = 0; dealt < handSize; dealt++) {
    const left = BigInt(queues - dealt)
    // A place among the queues that nobody holds yet.
    let card = Number(entropy % left)
    entropy /= left
    for (const held of hand.toSorted((a, b) => a - b)) if (card >= held) card++
    hand.push(card)
  }
  return hand
}
