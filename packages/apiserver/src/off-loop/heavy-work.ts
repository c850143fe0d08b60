import { apiVersionOf, badRequest, type KubernetesObject, type ResourceType } from '@k3s/api'
import { countValues } from '../body-text.ts'
import type { RequestBody } from '../codec.ts'
import type { RequestScope } from '../registry/strategy.ts'
import type { HeavyContext, HeavyInputs, HeavyKind, HeavyOutput, HeavyRules, ScopeFacts, Seen, WireBody } from './heavy-contract.ts'
import type { HeavyDefinition } from './heavy-definition.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import { JobThread, type JobThreadOptions } from './job-thread.ts'
import { nextTurn, parseInTurns } from './json-in-turns.ts'

export interface HeavyWorkOptions extends Pick<JobThreadOptions, 'workerUrl' | 'idleMs' | 'maxMs'> {
  readonly rules: HeavyRules
}

// A rule takes up to 20 µs for a value: what is below both is judged at once within some 30 ms, and nearly everything is.
const minBytes = 16 * 1024
const minValues = 1500
// Whatever it is: a rule that goes over a text several times takes some 20 ns for a byte.
const minLongBytes = 256 * 1024
// An expression may ask each item of a list about each other: so long may what it is asked of be.
const minRuledBytes = 4096
// Kinds whose text is compiled: by the length of it.
const compiled = new Set(['customresourcedefinitions', 'validatingadmissionpolicies', 'mutatingadmissionpolicies'])

/** A job takes seconds at most; what takes longer was made to. */
const defaultMaxMs = 20_000

/**
 * Does the steps of a write whose cost grows with the object in a thread of its own, when the object is large: there they hold up nobody else.
 * What is left for this thread is reading and writing the JSON of objects, in turns.
 */
export class HeavyWork {
  readonly #thread: JobThread
  readonly #rules: HeavyRules
  /** By the bytes of definitions: whether objects are judged by expressions. */
  readonly #ruled = new WeakMap<Uint8Array, boolean>()

  constructor({ rules, ...options }: HeavyWorkOptions) {
    this.#rules = rules
    this.#thread = new JobThread({
      maxMs: defaultMaxMs,
      ...options,
      name: 'heavy',
      refusal: (why) => `the request was refused: working on its object ${why === 'is too large' ? 'needs too much memory' : why}`,
    })
  }

  /** Whether work on an object with this JSON, of this resource, is for the thread. */
  isHeavy(json: Uint8Array, { resource }: { readonly resource: string }, definition?: HeavyDefinition): boolean {
    if (definition !== undefined && json.length >= minRuledBytes && this.#isRuled(definition.bytes)) return true
    if (json.length >= minLongBytes) return true
    return json.length >= minBytes && (compiled.has(resource) || countValues(json, minValues) >= minValues)
  }

  /** The body when it came over the wire and is heavy. Protobuf is dense: its length is that of many values. */
  heavyBody(body: RequestBody | undefined, type: { readonly resource: string }, definition?: HeavyDefinition): WireBody | undefined {
    if (body === undefined || !('bytes' in body) || body.bytes.length < minRuledBytes) return undefined
    const isProtobuf = body.bytes[0] === 0x6b
    return (isProtobuf && body.bytes.length >= minBytes) || this.isHeavy(body.bytes, type, definition) ? body : undefined
  }

  /** A definition for the thread. */
  definitionOf({ key, revision, bytes }: CachedObject): HeavyDefinition {
    return { key: `${key} ${revision}`, bytes }
  }

  /** Found in the text, once: parsing a definition takes longer than most writes of its objects. */
  #isRuled(definition: Uint8Array): boolean {
    let isRuled = this.#ruled.get(definition)
    if (isRuled === undefined) {
      isRuled = Buffer.from(definition.buffer, definition.byteOffset, definition.byteLength).includes('"x-kubernetes-validations"')
      this.#ruled.set(definition, isRuled)
    }
    return isRuled
  }

  /** Does one step. Rejects with what the step throws, and when too much waits. */
  async run<Kind extends HeavyKind>(
    kind: Kind,
    input: HeavyInputs[Kind],
    signal: AbortSignal,
    definition?: HeavyDefinition,
  ): Promise<HeavyOutput> {
    const context: HeavyContext = { rules: this.#rules, definition }
    const output = (await this.#thread.run(kind, { ...input, ...context }, signal)) as HeavyOutput // see HeavyJobs
    await nextTurn()
    return output
  }

  /** Ends the thread. */
  close(): Promise<void> {
    return this.#thread.close()
  }
}

/** The object that a job answered with, read in turns. */
export async function readLarge(json: Uint8Array): Promise<KubernetesObject> {
  const object = await parseInTurns(json)
  if (typeof object !== 'object' || object === null) throw badRequest('the body of the request must be an object')
  await nextTurn()
  return object as KubernetesObject // jobs answer with objects
}

/** Puts the fields of another object in place of an object's own. */
export function replaceFields(object: KubernetesObject, by: KubernetesObject): void {
  for (const field of Object.keys(object)) if (!(field in by)) delete (object as unknown as Record<string, unknown>)[field]
  Object.assign(object, by)
}

/** What rules are told of a request, as data. */
export function scopeFacts({ user, namespace, dryRun, now, requested, query }: RequestScope): ScopeFacts {
  const { group = '', version = '', resource = '', kind = '', namespaced = false } = requested ?? {}
  return {
    user,
    namespace,
    dryRun,
    now,
    requested: requested === undefined ? undefined : { group, version, resource, kind, namespaced },
    query: query?.toString() ?? '',
  }
}

/** A resource's name and kind alone. */
export function plainType({ group, version, resource, kind, namespaced }: ResourceType): ResourceType {
  return { group, version, resource, kind, namespaced }
}

/** What a thread is told of a cached object. */
export function seenFacts({ resource, key, revision, bytes }: CachedObject): Seen {
  return { apiVersion: apiVersionOf(resource.type), key, revision, bytes }
}
