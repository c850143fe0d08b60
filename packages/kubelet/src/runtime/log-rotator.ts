import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { CriClient } from '@k3s/cri-client'
import type { Clock, Logger } from '@k3s/lifecycle'
import { annotation, label, podLogsName } from './labels.ts'

export interface LogRotatorOptions {
  readonly cri: CriClient
  readonly clock: Clock
  readonly logger: Logger
  readonly podLogsDir: string
  /** A log is rotated when it is larger. */
  readonly maxBytes: number
  /** Files kept of one container, the present one included. */
  readonly maxFiles: number
}

// Upstream's containerLogMonitorInterval.
const periodMs = 10_000

/** Keeps the logs of running containers within bounds: `0.log` becomes `0.log.20260102-030405`, older ones are compressed, the oldest removed. */
export class LogRotator {
  readonly #options: LogRotatorOptions

  constructor(options: LogRotatorOptions) {
    this.#options = options
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options
    while (!signal.aborted) {
      await clock.sleep(periodMs, signal).catch(() => {}) // the loop's condition sees the abort
      if (signal.aborted) return
      try {
        await this.rotateAll(signal)
      } catch (err) {
        if (!signal.aborted) logger.warn({ err }, 'Cannot rotate container logs')
      }
    }
  }

  async rotateAll(signal: AbortSignal): Promise<void> {
    const { cri, logger, maxBytes, podLogsDir } = this.#options
    const { containers } = await cri.listContainers({ filter: { state: { state: 'CONTAINER_RUNNING' } } }, { signal })
    for (const { id, labels, annotations } of containers) {
      const uid = labels[label.podUid]
      if (uid === undefined) continue // not made by a kubelet
      const pod = { uid, name: labels[label.podName] ?? '', namespace: labels[label.podNamespace] ?? '' }
      const path = join(
        podLogsDir,
        podLogsName(pod),
        labels[label.containerName] ?? '',
        `${annotations[annotation.restartCount] ?? '0'}.log`,
      )
      const size = (await stat(path).catch(() => undefined))?.size ?? 0 // no log: nothing to rotate
      if (size < maxBytes) continue
      try {
        await this.rotate(id, path, signal)
      } catch (err) {
        signal.throwIfAborted()
        logger.warn({ err, path }, 'Cannot rotate container log')
      }
    }
  }

  /** Rotates one log now. */
  async rotate(containerId: string, path: string, signal: AbortSignal): Promise<void> {
    const { cri, clock, maxFiles } = this.#options
    const dir = dirname(path)
    const prefix = `${basename(path)}.`
    const rotated = (await readdir(dir)).filter((name) => name.startsWith(prefix)).toSorted()
    for (const name of rotated.filter((candidate) => candidate.endsWith('.tmp'))) await rm(join(dir, name), { force: true })
    const files = rotated.filter((name) => !name.endsWith('.tmp'))
    // The present file and the one it is about to become stay: the rest shares what is left.
    for (const name of files.slice(0, Math.max(0, files.length - (maxFiles - 2)))) await rm(join(dir, name), { force: true })
    for (const name of files.filter((candidate) => !candidate.endsWith('.gz'))) await compress(join(dir, name))
    const [day = '', time = ''] = new Date(clock.now()).toISOString().replaceAll(/[-:]/g, '').split(/[T.]/)
    const target = join(dir, `${prefix}${day}-${time}`)
    await rename(path, target)
    try {
      await cri.reopenContainerLog({ containerId }, { signal })
    } catch (error) {
      // The container still writes to the renamed file: give it its name back.
      await rename(target, path)
      throw error
    }
  }
}

async function compress(path: string): Promise<void> {
  if ((await stat(path).catch(() => undefined)) === undefined) return // removed just now
  const temporary = `${path}.tmp`
  await pipeline(createReadStream(path), createGzip(), createWriteStream(temporary))
  await rename(temporary, `${path}.gz`)
  await rm(path, { force: true })
}
