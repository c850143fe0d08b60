/** A body of JSON, to be sent as it is. In strings, `$run`, `$ns` and `$(step:path.to.value)` stand for what a run fills in. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined }
export type JsonObject = { readonly [key: string]: Json | undefined }

export type PatchType = 'json' | 'merge' | 'strategic' | 'apply'

/** One request of a case. */
export interface Step {
  /** Unique in its case; later steps refer to the answer by it. */
  readonly name: string
  readonly method: string
  /** With its query; placeholders as in {@link Json}. */
  readonly path: string
  readonly body?: Json | undefined
  /** A body that is no JSON of ours: sent as it is, placeholders filled in. */
  readonly raw?: string | undefined
  readonly patch?: PatchType | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Asks as another user, by impersonation. */
  readonly as?: { readonly user: string; readonly groups?: readonly string[] | undefined } | undefined
  /** Asked again, for up to ten seconds, until it succeeds. */
  readonly isAwaited?: boolean | undefined
  /** Of a watch: hang up after so many events. Without it the answer is read to its end. */
  readonly events?: number | undefined
}

/** Requests that are sent one after the other, with names that no other case uses. */
export interface Case {
  /** Unique in the corpus, fit for a DNS label of at most 50 characters: its namespace is named after it. */
  readonly name: string
  readonly steps: readonly Step[]
}

/** Requests of an area share a file of facts. */
export interface Area {
  readonly name: string
  readonly cases: readonly Case[]
}

const patchTypes: Readonly<Record<PatchType, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
}

/** The Content-Type of a step; undefined when it has no body. */
export function contentTypeOf(step: Step): string | undefined {
  if (step.patch !== undefined) return patchTypes[step.patch]
  return step.body === undefined && step.raw === undefined ? undefined : 'application/json'
}

type Options = Omit<Step, 'name' | 'method' | 'path' | 'body' | 'patch'>

/** Builds the steps of one case; names are given by position unless said otherwise. */
export class CaseBuilder {
  readonly #name: string
  readonly #steps: Step[] = []

  constructor(name: string) {
    this.#name = name
  }

  step(step: Omit<Step, 'name'> & { readonly name?: string | undefined }): this {
    const base = step.name ?? step.method.toLowerCase()
    const taken = this.#steps.filter(({ name }) => name === base || name.startsWith(`${base}#`)).length
    this.#steps.push({ ...step, name: taken === 0 ? base : `${base}#${taken + 1}` })
    return this
  }

  get(path: string, name?: string, options: Options = {}): this {
    return this.step({ method: 'GET', path, name, ...options })
  }

  post(path: string, body: Json | undefined, name?: string, options: Options = {}): this {
    return this.step({ method: 'POST', path, body, name, ...options })
  }

  put(path: string, body: Json | undefined, name?: string, options: Options = {}): this {
    return this.step({ method: 'PUT', path, body, name, ...options })
  }

  patch(path: string, patch: PatchType, body: Json | undefined, name?: string, options: Options = {}): this {
    return this.step({ method: 'PATCH', path, patch, body, name: name ?? patch, ...options })
  }

  delete(path: string, body?: Json, name?: string, options: Options = {}): this {
    return this.step({ method: 'DELETE', path, body, name, ...options })
  }

  build(): Case {
    return { name: this.#name, steps: this.#steps }
  }
}
