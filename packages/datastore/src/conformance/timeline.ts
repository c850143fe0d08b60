import type { Moment, RecordedHistory } from './recorded.ts'
import { showOperation } from './recorded.ts'

/** Somebody was told of a revision: from then on everybody must see it. */
export interface Sighting {
  readonly at: Moment
  readonly revision: number
  /** Whether a watch told it. */
  readonly isDelivery: boolean
  readonly shownBy: string
}

/** Which revision was known when, to anybody. */
export class Timeline {
  /** In order of time; each has a higher revision than all before it. */
  readonly #rises: readonly Sighting[]
  readonly #restarts: RecordedHistory['restarts']

  constructor({ operations, watches, restarts }: Pick<RecordedHistory, 'operations' | 'watches' | 'restarts'>) {
    const sightings: Sighting[] = []
    for (const operation of operations) {
      const { answered, answer } = operation
      if (answered === undefined) continue
      const revision = 'revision' in answer ? answer.revision : answer.type === 'refused' ? (answer.current?.modRevision ?? 0) : 0
      if (revision > 0) sightings.push({ at: answered, revision, isDelivery: false, shownBy: showOperation(operation) })
    }
    for (const { client, server, id, deliveries } of watches)
      for (const { at, revision } of deliveries)
        sightings.push({ at, revision, isDelivery: true, shownBy: `watch ${client}@${server} #${id} at ${at.order}` })
    sightings.sort((a, b) => a.at.order - b.at.order)
    let newest = 0
    this.#rises = sightings.filter(({ revision }) => {
      const isRise = revision > newest
      newest = Math.max(newest, revision)
      return isRise
    })
    this.#restarts = restarts
  }

  /** The highest revision that was shown to anybody before a point of the order; undefined: none. */
  floor(order: number): Sighting | undefined {
    let [low, high] = [0, this.#rises.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#rises[middle]?.at.order ?? 0) < order) low = middle + 1
      else high = middle
    }
    return this.#rises[low - 1]
  }

  /** Whether the server was started anew after one point of the order and before another. */
  hasRestarted(server: string, from: number, to: number): boolean {
    return this.#restarts.some((restart) => restart.server === server && restart.at.order > from && restart.at.order < to)
  }
}
