import type { CriClient } from '@k3s/cri-client'
import type { Clock, Logger } from '@k3s/lifecycle'
import type { NodeEvents } from '../events.ts'
import type { DiskUsage } from '../node/machine.ts'

export interface GcImage {
  readonly id: string
  readonly sizeBytes: number
  readonly isPinned: boolean
  readonly isUsed: boolean
  readonly firstSeenMs: number
  readonly lastUsedMs: number
}

/** Which images to remove to free so many bytes: unused ones, longest unused first, none that is younger than `minAgeMs`. */
export function planImageGc(images: readonly GcImage[], bytesToFree: number, nowMs: number, minAgeMs: number): readonly GcImage[] {
  const candidates = images
    .filter(
      ({ isPinned, isUsed, firstSeenMs, lastUsedMs }) => !isPinned && !isUsed && nowMs - firstSeenMs >= minAgeMs && lastUsedMs < nowMs,
    )
    .toSorted((a, b) => a.lastUsedMs - b.lastUsedMs || a.firstSeenMs - b.firstSeenMs)
  const chosen: GcImage[] = []
  let freed = 0
  for (const image of candidates) {
    if (freed >= bytesToFree) break
    chosen.push(image)
    freed += image.sizeBytes
  }
  return chosen
}

export interface ImageGcOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly logger: Logger
  readonly events: NodeEvents
  /** Of the file system that holds images. */
  readonly imageDisk: () => Promise<DiskUsage>
  /** Percent of the disk: at the first one collection starts, and it frees down to the second. */
  readonly highThreshold?: number | undefined
  readonly lowThreshold?: number | undefined
}

// Upstream's periods and age.
const collectMs = 300_000
const minAgeMs = 120_000
const defaultHigh = 85
const defaultLow = 80

/** Knows when images were last used, and removes unused ones when the disk fills up. */
export class ImageGc {
  readonly #options: ImageGcOptions
  readonly #seen = new Map<string, { readonly firstSeenMs: number; lastUsedMs: number }>()

  constructor(options: ImageGcOptions) {
    this.#options = options
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    while (!signal.aborted) {
      try {
        await this.collect(signal)
      } catch (err) {
        if (!signal.aborted) logger.warn({ err }, 'Cannot collect images')
      }
      await clock.sleep(collectMs, signal).catch(() => {}) // the loop's condition sees the abort
    }
  }

  /** Frees space when the disk is fuller than the high threshold. */
  async collect(signal: AbortSignal): Promise<void> {
    const { events, highThreshold = defaultHigh, imageDisk, lowThreshold = defaultLow } = this.#options
    const images = await this.#observe(signal)
    const { capacityBytes, availableBytes } = await imageDisk()
    if (capacityBytes === 0) return
    const usedPercent = 100 - (availableBytes * 100) / capacityBytes
    if (usedPercent < highThreshold) return
    const wanted = (capacityBytes * (100 - lowThreshold)) / 100 - availableBytes
    const freed = await this.#remove(images, wanted, minAgeMs, signal)
    if (freed < wanted)
      events.nodeEvent(
        'Warning',
        'FreeDiskSpaceFailed',
        `Failed to garbage collect required amount of images. Attempted to free ${Math.ceil(wanted)} bytes, but only found ${freed} bytes eligible to free.`,
      )
  }

  /** Removes every unused image: the last thing before pods are evicted for their disk. Gives the bytes freed. */
  async removeUnused(signal: AbortSignal): Promise<number> {
    return await this.#remove(await this.#observe(signal), Number.POSITIVE_INFINITY, 0, signal)
  }

  async #remove(images: readonly GcImage[], wanted: number, ageMs: number, signal: AbortSignal): Promise<number> {
    const { cri, clock, logger } = this.#options
    let freed = 0
    for (const { id, sizeBytes } of planImageGc(images, wanted, clock.now(), ageMs)) {
      await cri.removeImage({ image: { image: id } }, { signal })
      this.#seen.delete(id)
      freed += sizeBytes
      logger.info({ image: id, bytes: sizeBytes }, 'Removed unused image')
    }
    return freed
  }

  async #observe(signal: AbortSignal): Promise<readonly GcImage[]> {
    const { cri, clock } = this.#options
    const [{ images }, { containers }] = await Promise.all([cri.listImages({}, { signal }), cri.listContainers({}, { signal })])
    const used = new Set(containers.flatMap(({ imageRef, imageId, image }) => [imageRef, imageId, image?.image ?? '']))
    const now = clock.now()
    const present = new Set(images.map(({ id }) => id))
    for (const id of this.#seen.keys()) if (!present.has(id)) this.#seen.delete(id)
    return images.map(({ id, size, pinned, repoTags, repoDigests }) => {
      const isUsed = [id, ...repoTags, ...repoDigests].some((name) => used.has(name))
      const known = this.#seen.get(id) ?? { firstSeenMs: now, lastUsedMs: 0 }
      if (isUsed) known.lastUsedMs = now
      this.#seen.set(id, known)
      return { id, sizeBytes: size, isPinned: pinned, isUsed, firstSeenMs: known.firstSeenMs, lastUsedMs: known.lastUsedMs }
    })
  }
}
