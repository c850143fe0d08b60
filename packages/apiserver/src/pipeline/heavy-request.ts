import type { KubernetesObject } from '@k3s/api'
import { customresourcedefinitions } from '@k3s/api/types/apiextensions/v1'
import { decodeBody, type DecodeOptions, type ExpectedKind, type RequestBody } from '../codec.ts'
import { plainType, readLarge, seenFacts } from '../off-loop/heavy-work.ts'
import type { HeavyInputs, HeavyOutput } from '../off-loop/heavy-contract.ts'
import type { HeavyDefinition } from '../off-loop/heavy-definition.ts'
import type { HeavyWrite } from '../registry/heavy-write.ts'
import type { ServedResource } from '../registry/served-resource.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { ApiCore } from './api-core.ts'
import type { ResourceRequest, WriteOptions } from './resource-request.ts'

type PatchInput = Omit<HeavyInputs['patch'], 'type' | 'current'> & { readonly current: CachedObject }
type ApplyInput = Omit<HeavyInputs['apply'], 'type' | 'current'> & { readonly current: CachedObject | undefined }

/** A write whose steps may be done off the event loop. */
export interface HeavyRequest extends HeavyWrite {
  /** The same, of a write that keeps the owners of fields by itself. */
  readonly untracked: HeavyWrite
  run(kind: 'patch', input: PatchInput, signal: AbortSignal): Promise<HeavyOutput>
  run(kind: 'apply', input: ApplyInput, signal: AbortSignal): Promise<HeavyOutput>
}

/** The definition of a custom resource, for the thread; undefined for one that a webhook converts. */
export function heavyDefinition(
  { registry: { heavy }, table }: Pick<ApiCore, 'registry' | 'table'>,
  { type }: Pick<ServedResource, 'type'>,
): HeavyDefinition | undefined {
  const found = table.find(customresourcedefinitions)?.storage?.cache.objects.get(`${type.resource}.${type.group}`)
  return found === undefined ? undefined : heavy?.definitionOf(found)
}

/** Present when there is a thread that knows the rules of the resource. */
export function heavyWriteOf(
  core: ApiCore,
  { served }: ResourceRequest,
  { fieldManager }: WriteOptions,
  body: RequestBody | undefined,
): HeavyRequest | undefined {
  const { registry, clock } = core
  const work = registry.heavy
  const definition = served.custom === undefined ? undefined : heavyDefinition(core, served)
  if (work === undefined || (served.custom !== undefined && definition === undefined)) return undefined
  const type = plainType(served.type)
  const isHeavyBody = work.heavyBody(body, type, definition) !== undefined
  const isHeavy = (current: CachedObject): boolean => isHeavyBody || work.isHeavy(current.bytes, type, definition)
  const write = { work, type, definition, isHeavyBody, isHeavy, tracked: { fieldManager, nowMs: clock.now() } }
  return {
    ...write,
    untracked: { ...write, tracked: undefined },
    run: (kind: 'patch' | 'apply', { current, ...input }: PatchInput | ApplyInput, signal: AbortSignal) => {
      const seen = current === undefined ? undefined : seenFacts(current)
      // Of the kind: see above.
      return work.run(kind, { ...input, type, current: seen } as HeavyInputs['patch'] & HeavyInputs['apply'], signal, definition)
    },
  }
}

/** Reads the body of a request as {@link decodeBody} does; one with very much in it is read off the event loop. Takes over the body. */
export async function decodeRequest(
  core: Pick<ApiCore, 'registry' | 'table'>,
  body: RequestBody,
  expected: ExpectedKind,
  options: DecodeOptions & { readonly signal: AbortSignal; readonly served?: ServedResource | undefined },
): Promise<KubernetesObject> {
  const { heavy } = core.registry
  const { fieldValidation, signal, served, coerce } = options
  const definition = coerce === undefined || served === undefined ? undefined : heavyDefinition(core, served)
  const wire = heavy?.heavyBody(body, { resource: '' }, definition)
  if (heavy === undefined || wire === undefined || (coerce !== undefined && definition === undefined))
    return decodeBody(body, expected, options)
  const { group, version, kind } = expected
  const input = { body: wire, expected: { group, version, kind }, fieldValidation }
  const { json, warnings } =
    definition === undefined || served === undefined
      ? await heavy.run('decode', input, signal)
      : await heavy.run('decodeCustom', { ...input, type: plainType(served.type) }, signal, definition)
  for (const warning of warnings) options.warn(warning)
  return readLarge(json)
}
