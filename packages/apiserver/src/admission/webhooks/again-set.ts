import type { KubernetesObject } from '@k3s/api'
import { copyInTurns, equalInTurns } from '../../off-loop/json-in-turns.ts'

/** Which of the things that changed an object are to be asked again because somebody else changed it after them. Names are the caller's. */
export class AgainSet {
  readonly #asked = new Set<string>()
  readonly #again = new Set<string>()
  #last: KubernetesObject | undefined

  /** Remembers one that wants to see later changes. */
  add(name: string): void {
    this.#asked.add(name)
  }

  /** The object was changed: all that were asked so far are to see it. */
  changed(): void {
    for (const name of this.#asked) this.#again.add(name)
    this.#asked.clear()
  }

  includes(name: string): boolean {
    return this.#again.has(name)
  }

  /** Keeps a copy of what the round ended with. */
  async remember(object: KubernetesObject | undefined): Promise<void> {
    this.#last = await copyInTurns(object)
  }

  /** Sees what others changed since the last round ended. */
  async compare(object: KubernetesObject | undefined): Promise<void> {
    if (!(await equalInTurns(this.#last, object))) this.changed()
  }
}
