import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiTransport } from '@k3s/client'
import { Random } from '../churn/random.ts'
import type { Kind } from './kinds.ts'

const merge = 'application/merge-patch+json'
const mostAtOnce = 15
const pauseMs = 2

/** Makes, changes and deletes objects in `default`, one request at a time; what fails, as when the server is away, is left as it is. */
export class Writer {
  readonly #transport: ApiTransport
  readonly #kinds: readonly Kind[]
  readonly #random: Random
  /** Names that are there, as far as it is known. */
  readonly #names = new Map<Kind, string[]>()
  #number = 0
  #answered = 0

  constructor(transport: ApiTransport, kinds: readonly Kind[], seed: number) {
    this.#transport = transport
    this.#kinds = kinds
    this.#random = new Random(seed)
  }

  /** Writes that were answered so far. */
  get answered(): number {
    return this.#answered
  }

  /** Writes until the signal aborts. */
  async write(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const isDone = await this.#next().then(
        () => true,
        () => false,
      )
      if (isDone) this.#answered++
      await sleep(isDone ? pauseMs : 50)
    }
  }

  async #next(): Promise<void> {
    const kind = this.#random.pick(this.#kinds)
    const names = this.#names.get(kind) ?? []
    this.#names.set(kind, names)
    const path = kind.path.replace(/\/([^/]+)$/, '/namespaces/default/$1')
    const chance = this.#random.next()
    if (names.length === 0 || (names.length < mostAtOnce && chance < 0.4)) {
      // Some names come back.
      const name = `made-${this.#number++ % 40}`
      if (names.includes(name)) return
      names.push(name)
      await this.#transport.request({ method: 'POST', path, body: kind.create(name) })
    } else if (chance < 0.8) {
      const patch = { metadata: { annotations: { turn: String(this.#number++) } } }
      await this.#transport.request({ method: 'PATCH', path: `${path}/${this.#random.pick(names)}`, body: patch, contentType: merge })
    } else {
      const [name = ''] = names.splice(this.#random.between(0, names.length - 1), 1)
      await this.#transport.request({ method: 'DELETE', path: `${path}/${name}`, query: { propagationPolicy: 'Background' } })
    }
  }
}
