import { apiVersionOf, loadDescriptions, type KubernetesObject, type ResourceType } from '@k3s/api'
import type { CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { apiServiceStrategy } from '../aggregation/api-service-strategy.ts'
import { decodeBody, decodeOptions, type RequestBody } from '../codec.ts'
import { planStatus } from '../custom-resources/definition/plan-status.ts'
import { trivialConverter } from '../custom-resources/conversion/converter.ts'
import { servedVersions } from '../custom-resources/served-version.ts'
import { definitionStrategy } from '../custom-resources/definition/strategy.ts'
import { wholeV2, type V2Parts } from '../non-resource/custom-documents.ts'
import { mergeApplied } from '../pipeline/apply-handler.ts'
import { maxBodyBytes, tooLargeBody } from '../http/read-body.ts'
import { readPatch } from '../pipeline/apply-patch.ts'
import { fieldTracking, type FieldTracking } from '../pipeline/field-tracking.ts'
import { patchObject } from '../pipeline/patch-handler.ts'
import { beginCreate, finishCreate } from '../registry/create-object.ts'
import { ResourceTable } from '../registry/resource-table.ts'
import { preparedView, type ResourceStorage, type ServedResource } from '../registry/served-resource.ts'
import type { ObjectReader, RequestScope, ResourceStrategy } from '../registry/strategy.ts'
import { beginUpdate, finishUpdate, isSameObject } from '../registry/update-object.ts'
import { builtInStrategies } from '../resources/built-in.ts'
import { EvaluateJobs } from './evaluate-job.ts'
import type {
  HeavyContext,
  HeavyInputs,
  HeavyKind,
  HeavyOutput,
  HeavyRules,
  ScopeFacts,
  Seen,
  Tracked,
  WireBody,
} from './heavy-contract.ts'
import type { HeavyDefinition } from './heavy-definition.ts'
import { CachedObject, encodeStored } from '../watch-cache/cached-object.ts'
import { WatchCache } from '../watch-cache/watch-cache.ts'

/** Strategies of requests that only ask have nothing to do here. */
const nobody = (): never => {
  throw new Error('A rule asks for something that this thread does not have')
}
const noObjects: ObjectReader = { get: nobody, list: nobody }

interface Found {
  readonly served: ServedResource
  readonly storage: ResourceStorage
}
type Find = (type: ResourceType) => Promise<Found>
type Job<Input> = (input: Input, find: Find) => HeavyOutput | Promise<HeavyOutput>

// Definitions whose rules are kept.
const maxDefinitions = 32

/** Does jobs by the rules of the built-in resources. */
export class HeavyJobs {
  readonly #tables = new Map<string, ResourceTable>()
  readonly #definitions = new Map<string, readonly ServedResource[]>()
  readonly #expressions = new EvaluateJobs()

  /** Throws StatusErrors. */
  run(kind: string, input: unknown): HeavyOutput | Promise<HeavyOutput> {
    const { rules, definition, ...rest } = input as HeavyContext // HeavyWork sends nothing else
    // Each kind with its input: see HeavyWork.
    const jobs: { readonly [Kind in HeavyKind]: Job<HeavyInputs[Kind]> } = {
      decode,
      decodeCustom,
      decodeOptions: ({ body }) => ({ json: encode(decodeOptions(bodyOf(body)) ?? null), warnings: [] }),
      planStatus: statusPlanned,
      openApiV2: documentMade,
      patch,
      apply,
      show,
      shape,
      evaluate: (asked, find) => this.#evaluate(asked, find),
      beginCreate: createBegun,
      finishCreate: createFinished,
      beginUpdate: updateBegun,
      finishUpdate: updateFinished,
    }
    const job = jobs[kind as HeavyKind] as Job<unknown> // as above
    return job(rest, (type) => (definition === undefined ? this.#builtIn(type, rules) : this.#custom(type, definition)))
  }

  async #evaluate(input: HeavyInputs['evaluate'], find: Find): Promise<HeavyOutput> {
    const type = input.patch?.type
    const { served } = type === undefined ? {} : await find(type)
    const evaluated = this.#expressions.run(input, served)
    if ('pending' in evaluated) return { json: nothing, warnings: [], evaluated }
    const { object, ...rest } = evaluated
    return { json: object === undefined ? nothing : encode(object), warnings: [], evaluated: rest }
  }

  async #builtIn(type: ResourceType, rules: HeavyRules): Promise<Found> {
    const served = this.#tableOf(rules).find(type)
    if (served?.storage === undefined) throw new Error(`No built-in resource is ${type.resource}`)
    return { served, storage: served.storage }
  }

  async #custom({ version }: ResourceType, { key, bytes }: HeavyDefinition): Promise<Found> {
    let versions = this.#definitions.get(key)
    if (versions === undefined) {
      if (this.#definitions.size >= maxDefinitions) this.#definitions.clear()
      versions = servedVersions({
        definition: parse(bytes) as CustomResourceDefinition, // see HeavyDefinition
        converter: trivialConverter,
        openCache: async (resource) => new WatchCache(resource),
        retired: new AbortController().signal,
      })
      this.#definitions.set(key, versions)
    }
    const served = versions.find(({ type }) => type.version === version)
    await served?.custom?.open(new AbortController().signal)
    if (served?.storage === undefined) throw new Error(`No version ${version} is defined`)
    return { served, storage: served.storage }
  }

  #tableOf(rules: HeavyRules): ResourceTable {
    const key = JSON.stringify(rules)
    let table = this.#tables.get(key)
    if (table === undefined) {
      const builtIn = builtInStrategies({ ...rules, serviceCidrs: ['10.43.0.0/16'], authorizer: { name: 'none', authorize: nobody } })
      // The table asks each strategy about objects of its own type only.
      const erased = [definitionStrategy, apiServiceStrategy] as unknown as readonly ResourceStrategy[]
      table = new ResourceTable({
        feed: { add: (resource) => new WatchCache(resource) },
        strategies: [...erased, ...builtIn],
        eventTtlSeconds: 0,
      })
      this.#tables.set(key, table)
    }
    return table
  }
}

const nothing = Buffer.from('null')

/** What defaults made longer than any request may be could not be stored, and reading it again would take as long. */
function encode(value: unknown): Uint8Array {
  const json = Buffer.from(JSON.stringify(value))
  if (json.length > maxBodyBytes) throw tooLargeBody()
  return json
}

const parse = (bytes: Uint8Array): KubernetesObject => JSON.parse(Buffer.from(bytes).toString('utf8')) as KubernetesObject // encoded by HeavyWork

function bodyOf({ bytes, contentType, fromYaml }: WireBody): RequestBody & { readonly bytes: Buffer } {
  return { bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), contentType, fromYaml }
}

function cachedOf({ resource }: ResourceStorage, { apiVersion, key, revision, bytes }: Seen): CachedObject {
  const stored = resource.inVersion?.(apiVersion) ?? resource
  return new CachedObject(stored, key, revision, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
}

function seenOf(storage: ResourceStorage, seen: Seen): KubernetesObject {
  const cached = cachedOf(storage, seen)
  return (storage.view === undefined ? cached : preparedView(storage.view, cached)).object
}

function trackingOf(served: ServedResource, subresource: string, tracked: Tracked): FieldTracking | undefined {
  if (tracked === undefined) return undefined
  return fieldTracking({ served, info: { subresource } }, { fieldManager: tracked.fieldManager }, new Date(tracked.nowMs))
}

function scopeWith(facts: ScopeFacts, warnings: string[]): RequestScope {
  return { ...facts, query: new URLSearchParams(facts.query), objects: noObjects, warn: (message) => warnings.push(message) }
}

/** What is to be stored; undefined where something is still to be allocated, and of custom resources, whose text counts. */
function valueOf({ resource, strategy, view }: ResourceStorage, object: KubernetesObject): Uint8Array | undefined {
  return view === undefined && strategy.allocate === undefined ? encodeStored(resource, object) : undefined
}

function decode({ body, expected, fieldValidation }: HeavyInputs['decode']): HeavyOutput {
  const warnings: string[] = []
  const object = decodeBody(bodyOf(body), expected, { fieldValidation, warn: (message) => warnings.push(message) })
  return { json: encode(object), warnings }
}

async function decodeCustom({ type, body, expected, fieldValidation }: HeavyInputs['decodeCustom'], find: Find): Promise<HeavyOutput> {
  const { coerce } = (await find(type)).served.custom ?? {}
  const warnings: string[] = []
  const object = decodeBody(bodyOf(body), expected, { fieldValidation, warn: (message) => warnings.push(message), coerce })
  return { json: encode(object), warnings }
}

async function documentMade({ parts, descriptions: file, isProtobuf }: HeavyInputs['openApiV2']): Promise<HeavyOutput> {
  const read: unknown = JSON.parse(Buffer.from(parts).toString('utf8'))
  // Without descriptions when they cannot be read: the server tells of that.
  const descriptions = await loadDescriptions(file === undefined || !file.startsWith('file:') ? file : new URL(file)).catch(() => undefined)
  return { json: wholeV2({ descriptions }, read as V2Parts, isProtobuf), warnings: [] } // encoded by the server
}

function statusPlanned({ definition, others, now }: HeavyInputs['planStatus']): HeavyOutput {
  const known: unknown = JSON.parse(Buffer.from(others).toString('utf8'))
  // Both were encoded from definitions.
  const next = planStatus(parse(definition) as CustomResourceDefinition, known as CustomResourceDefinition[], now)
  return { json: encode(next?.status ?? null), warnings: [] }
}

async function patch({ type, body, current, at, fieldValidation }: HeavyInputs['patch'], find: Find): Promise<HeavyOutput> {
  const { served, storage } = await find(type)
  const warnings: string[] = []
  const document = readPatch(bodyOf(body), { supportsStrategic: served.schema !== undefined })
  const object = patchObject(
    { served, info: at, warn: (message) => warnings.push(message) },
    document,
    seenOf(storage, current),
    fieldValidation,
  )
  return { json: encode(object), warnings }
}

async function apply(input: HeavyInputs['apply'], find: Find): Promise<HeavyOutput> {
  const { served, storage } = await find(input.type)
  const warnings: string[] = []
  const document = readPatch(bodyOf(input.body), { supportsStrategic: served.schema !== undefined })
  const object = mergeApplied(
    { served, storage, info: { ...input.at, subresource: input.subresource }, warn: (message) => warnings.push(message) },
    document,
    input.current === undefined ? undefined : seenOf(storage, input.current),
    { fieldManager: input.fieldManager, force: input.force, fieldValidation: input.fieldValidation, now: new Date(input.nowMs) },
  )
  return { json: encode(object), warnings }
}

async function show({ type, current }: HeavyInputs['show'], find: Find): Promise<HeavyOutput> {
  const { storage } = await find(type)
  const cached = cachedOf(storage, current)
  const shown = storage.view === undefined ? cached : preparedView(storage.view, cached)
  // What has no revision has no resourceVersion, either.
  return { json: nothing, warnings: [], isUnchanged: shown === cached, value: current.revision === 0 ? shown.bytes : shown.value }
}

async function shape({ type, version, isStored, object: bytes, exact }: HeavyInputs['shape'], find: Find): Promise<HeavyOutput> {
  const { served, storage } = await find(type)
  const object = parse(bytes)
  served.custom?.shape(object as unknown as Record<string, unknown>, { version, isStored }) // an object is a map of its fields
  const stored = storage.resource.inVersion?.(apiVersionOf({ group: type.group, version })) ?? storage.resource
  return { json: nothing, warnings: [], value: encodeStored(stored, object, exact) }
}

async function createBegun({ type, object: bytes, tracked }: HeavyInputs['beginCreate'], find: Find): Promise<HeavyOutput> {
  const { served, storage } = await find(type)
  const object = parse(bytes)
  beginCreate(storage, object, trackingOf(served, '', tracked)?.ofCreate().track)
  return { json: encode(object), warnings: [] }
}

async function createFinished({ type, object: bytes, scope, ...facts }: HeavyInputs['finishCreate'], find: Find): Promise<HeavyOutput> {
  const { storage } = await find(type)
  const object = parse(bytes)
  const warnings: string[] = []
  finishCreate(storage, object, { ...facts, scope: scopeWith(scope, warnings) })
  return { json: encode(object), warnings, value: valueOf(storage, object) }
}

async function updateBegun(input: HeavyInputs['beginUpdate'], find: Find): Promise<HeavyOutput> {
  const { type, subresource, scope, tracked } = input
  const { served, storage } = await find(type)
  const object = parse(input.object)
  const warnings: string[] = []
  const track = trackingOf(served, subresource, tracked)?.ofUpdate().track
  beginUpdate(storage, object, seenOf(storage, input.current), { subresource, scope: scopeWith(scope, warnings), track })
  return { json: encode(object), warnings }
}

async function updateFinished(input: HeavyInputs['finishUpdate'], find: Find): Promise<HeavyOutput> {
  const { subresource, name, admitted, scope } = input
  const { storage } = await find(input.type)
  const [object, previous] = [parse(input.object), seenOf(storage, input.current)]
  const warnings: string[] = []
  finishUpdate(storage, object, previous, { subresource, name, admitted, scope: scopeWith(scope, warnings) })
  const isSame = isSameObject(object, previous)
  return { json: encode(object), warnings, isUnchanged: isSame, value: valueOf(storage, object) }
}
