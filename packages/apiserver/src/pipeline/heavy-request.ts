import type { KubernetesObject } from '@k3s/api'
import { decodeBody, finishDecoded, type DecodeOptions, type ExpectedKind, type RequestBody } from '../codec.ts'
import { isObject } from '../json.ts'
import { plainType, readLarge, seenFacts } from '../off-loop/heavy-work.ts'
import type { HeavyInputs, HeavyOutput } from '../off-loop/heavy-jobs.ts'
import type { HeavyWrite } from '../registry/heavy-write.ts'
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

/** Present when there is a thread that knows the rules of the resource, which are those of built-in ones. */
export function heavyWriteOf(
  { registry: { heavy: work }, clock }: ApiCore,
  { served }: ResourceRequest,
  { fieldManager }: WriteOptions,
  body: RequestBody | undefined,
): HeavyRequest | undefined {
  if (work === undefined || served.custom !== undefined) return undefined
  const type = plainType(served.type)
  const isHeavyBody = work.heavyBody(body, type) !== undefined
  const isHeavy = (current: CachedObject): boolean => isHeavyBody || work.isHeavy(current.bytes, type)
  const write = { work, type, isHeavyBody, isHeavy, tracked: { fieldManager, nowMs: clock.now() } }
  return {
    ...write,
    untracked: { ...write, tracked: undefined },
    run: (kind: 'patch' | 'apply', { current, ...input }: PatchInput | ApplyInput, signal: AbortSignal) => {
      const seen = current === undefined ? undefined : seenFacts(current)
      return work.run(kind, { ...input, type, current: seen } as HeavyInputs['patch'] & HeavyInputs['apply'], signal) // of the kind: see above
    },
  }
}

/** Reads the body of a request as {@link decodeBody} does; one with very much in it is read off the event loop. Takes over the body. */
export async function decodeRequest(
  { registry: { heavy } }: Pick<ApiCore, 'registry'>,
  body: RequestBody,
  expected: ExpectedKind,
  options: DecodeOptions & { readonly signal: AbortSignal },
): Promise<KubernetesObject> {
  const wire = heavy?.heavyBody(body, { resource: '' })
  if (heavy === undefined || wire === undefined) return decodeBody(body, expected, options)
  const { fieldValidation, signal } = options
  const { group, version, kind } = expected
  const plain = { group, version, kind }
  if (options.coerce === undefined) {
    const { json, warnings } = await heavy.run('decode', { body: wire, expected: plain, fieldValidation }, signal)
    for (const warning of warnings) options.warn(warning)
    return readLarge(json)
  }
  const { json, fieldErrors = [] } = await heavy.run('decodePlain', { body: wire, expected: plain }, signal)
  const object: unknown = await readLarge(json)
  return finishDecoded({ object: isObject(object) ? object : {}, fieldErrors }, expected, options)
}
