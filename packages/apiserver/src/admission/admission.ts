import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { RequestScope } from '../registry/strategy.ts'

/** A request as admission sees it. */
export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  readonly type: ResourceType
  /** Empty for the object itself. */
  readonly subresource: string
  readonly namespace: string
  /** Empty for creates with generateName. */
  readonly name: string
  /** Of CREATE and UPDATE: a private copy, which `admit` may change in place. */
  readonly object: KubernetesObject | undefined
  /** Of UPDATE and DELETE: frozen. */
  readonly oldObject: KubernetesObject | undefined
  readonly scope: RequestScope
  /** Of DELETE: the DeleteOptions of the client. */
  readonly options?: Readonly<Record<string, unknown>> | undefined
}

/** What plugins know of each other while one request is admitted: a change by a late one calls those before it again, once. */
export class Reinvocation {
  #isWanted = false
  #isAgain = false
  readonly #notes = new Map<string, unknown>()

  /** The second round is running. */
  get isAgain(): boolean {
    return this.#isAgain
  }

  /** Asks for a second round. */
  want(): void {
    this.#isWanted = true
  }

  /** Starts the second round; false when nobody wants one. */
  begin(): boolean {
    if (!this.#isWanted || this.#isAgain) return false
    this.#isAgain = true
    return true
  }

  /** What a plugin remembers from the first round to the second. */
  note<T>(plugin: string, make: () => T): T {
    const known = this.#notes.get(plugin)
    if (known !== undefined) return known as T // each plugin makes its own
    const made = make()
    this.#notes.set(plugin, made)
    return made
  }
}

/** Built-in admission. Both throw a StatusError (usually `Forbidden`) to refuse. */
export interface AdmissionPlugin {
  readonly name: string
  admit?(request: AdmissionRequest, reinvocation?: Reinvocation): Promise<void> | void
  validate?(request: AdmissionRequest): Promise<void> | void
}
