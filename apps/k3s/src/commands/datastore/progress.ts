import type { CopyProgress } from '@k3s/datastore'
import type { Output } from './context.ts'

const terminalIntervalMs = 100
const plainIntervalMs = 2000

/** Tells how far something is: on a terminal by one line that is written again and again, otherwise by a line every two seconds. */
export class Progress {
  readonly #output: Output
  readonly #now: () => number
  #lastMs: number
  #isOpen = false

  constructor(output: Output, now: () => number = () => performance.now()) {
    this.#output = output
    this.#now = now
    this.#lastMs = now()
  }

  /** What is done, such as `Restoring`, and how much of it. Most calls write nothing. */
  report(what: string, { revision, items, totalItems, bytes, isFinishing }: CopyProgress): void {
    const isTerminal = this.#output.isTTY === true
    const now = this.#now()
    if (!isFinishing && now - this.#lastMs < (isTerminal ? terminalIntervalMs : plainIntervalMs)) return
    if (isFinishing && !isTerminal && items === totalItems && now - this.#lastMs < plainIntervalMs) return
    this.#lastMs = now
    const percent = totalItems === 0 ? 100 : Math.floor((items / totalItems) * 100)
    const line = `${what} revision ${revision}: ${items} of ${totalItems} keys (${percent} %), ${formatBytes(bytes)}${isFinishing ? ', finishing' : ''}`
    this.#output.write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`)
    this.#isOpen = isTerminal
  }

  /** Takes the line away. */
  done(): void {
    if (this.#isOpen) this.#output.write('\r\u001b[K')
    this.#isOpen = false
  }
}

/** Such as `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let [value, unit] = [bytes / 1024, 0]
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${value.toFixed(1)} ${units[unit] ?? ''}`
}

/** Such as `1 key` and `2 keys`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
