import {
  apiVersionOf,
  clearNulls,
  decodeProtobuf,
  schemaOf,
  withNulls,
  type JsonObject,
  type KubernetesObject,
  type RootMeta,
  type TypeSchema,
} from '@k3s/api'
import { invariant } from '@k3s/lifecycle'
import { deepFreeze } from '../deep-freeze.ts'
import { freezeInTurns, parseInTurns, stringifyInTurns } from '../off-loop/json-in-turns.ts'
import { formatResourceVersion } from '../resource-version.ts'
import { exactReplacer, type ExactNumbers } from './exact-numbers.ts'
import type { StoredResource } from './stored-resource.ts'

/** `"resourceVersion":"12",`: stands right behind `"metadata":{`. */
const slotOf = (revision: number): string => `"resourceVersion":"${formatResourceVersion(revision)}",`

/**
 * One version of one object: its JSON, and the parsed form for as long as somebody holds it.
 *
 * The bytes of a Pod at revision 12, and the segments that are joined for each use:
 * ```
 * { "apiVersion":"v1","kind":"Pod", "metadata":{ "resourceVersion":"12", "name":"a",…
 * ^ |type head: not in list items |             |slot: known after the commit
 * ```
 */
export class CachedObject {
  readonly resource: StoredResource
  /** `ns/name` or `name`. */
  readonly key: string
  readonly revision: number
  /** Length of `bytes`. */
  readonly size: number
  /** The same for all that differ in nothing but the resourceVersion. */
  readonly content: object
  /** What is stored lacks what was filled in when it was read. */
  readonly isCompleted: boolean
  /** Absent: they are made from `#original` when somebody asks. */
  #bytes: Buffer | undefined
  #original: CachedObject | undefined
  #parsed: WeakRef<KubernetesObject> | undefined
  /** Kept for longer than the parsed object: selectors ask again and again, and most of what they parse is not wanted. */
  #labels: Readonly<Record<string, string>> | undefined

  constructor(
    resource: StoredResource,
    key: string,
    revision: number,
    bytes: Buffer | CachedObject,
    { content = {}, isCompleted = false }: { readonly content?: object | undefined; readonly isCompleted?: boolean | undefined } = {},
  ) {
    this.resource = resource
    this.key = key
    this.revision = revision
    if (bytes instanceof CachedObject) {
      this.#original = bytes
      this.size = bytes.size - slotOf(bytes.revision).length + slotOf(revision).length
    } else {
      this.#bytes = bytes
      this.size = bytes.length
    }
    this.content = content
    this.isCompleted = isCompleted
  }

  /** From the datastore's value. A value that another program encoded in its own way is encoded anew. */
  static fromStored(known: StoredResource, key: string, revision: number, value: Uint8Array): CachedObject {
    const resource = known.inVersion === undefined ? known : known.inVersion(storedVersion(value))
    const canonicalValue = canonical(resource, value)
    const stored = completed(resource, canonicalValue)
    const bytes = withSlot(stored, resource.head.length, slotOf(revision))
    return new CachedObject(resource, key, revision, bytes, { isCompleted: stored !== canonicalValue })
  }

  /** An object as another version shows it: `value` in that version, at the same revision. */
  static shown(resource: StoredResource, original: CachedObject, value: Buffer): CachedObject {
    return original.revision === 0
      ? new CachedObject(resource, original.key, 0, value)
      : CachedObject.fromStored(resource, original.key, original.revision, value)
  }

  /** A value that was never stored, in whatever version it is: it has no resourceVersion. */
  static withoutVersion(known: StoredResource, key: string, value: Buffer): CachedObject {
    const resource = known.inVersion === undefined ? known : known.inVersion(storedVersion(value))
    return new CachedObject(resource, key, 0, completed(resource, value))
  }

  /** The whole object with its resourceVersion. Not to be changed. */
  get bytes(): Buffer {
    if (this.#bytes === undefined) {
      invariant(this.#original !== undefined, 'an object without bytes is like another')
      this.#bytes = withSlot(this.#original.value, this.resource.head.length, slotOf(this.revision))
      this.#original = undefined
    }
    return this.#bytes
  }

  /** The parsed object: shared, deeply frozen, with its resourceVersion. */
  get object(): KubernetesObject {
    const known = this.#parsed?.deref()
    // What was taken over is frozen when somebody looks at it: most are never looked at.
    if (known !== undefined) return deepFreeze(known)
    const object = deepFreeze(this.parseCopy())
    this.#parsed = new WeakRef(object)
    return object
  }

  /** As `object`; what is long is parsed in several turns of the event loop. In the turn that ends it, `object` is there. */
  async load(): Promise<KubernetesObject> {
    if (this.bytes.length <= longBytes) return this.object
    const known = this.#parsed?.deref()
    if (known !== undefined) return freezeInTurns(known)
    const { schema } = this.resource
    const object = (await parseInTurns(this.bytes, { freezes: !hasNulls(schema, this.bytes) })) as KubernetesObject // as in `parse`
    if (hasNulls(schema, this.bytes)) clearNulls(object as unknown as JsonObject, schema) // an API object is a JSON object
    this.adopt(object)
    return this.object
  }

  /** Its metadata, not to be changed: of an object that nobody has parsed only this is read. */
  get metadata(): RootMeta {
    const known = this.#parsed?.deref()
    if (known !== undefined) return known.metadata
    const { head } = this.resource
    const begin = head.length - 1
    const end = this.#startsWith(head) ? endOfObject(this.bytes, begin) : -1
    const text = end < 0 ? undefined : this.bytes.toString('utf8', begin, end)
    // Null stands for nothing there, which takes the whole schema to know.
    return text === undefined || text.includes(':null') ? this.object.metadata : (JSON.parse(text) as RootMeta) // as in `parse`
  }

  #startsWith(head: string): boolean {
    return this.bytes.toString('latin1', 0, head.length) === head
  }

  /** Its labels, frozen; remembered from the first time on. */
  get labels(): Readonly<Record<string, string>> {
    // What was taken over is not frozen for it: that takes longer than the rest.
    return (this.#labels ??= deepFreeze((this.#parsed?.deref() ?? this.object).metadata.labels ?? noLabels))
  }

  /** Takes over a parsed form that equals the bytes, so that it is not parsed again. Nobody may change it any more. */
  adopt(object: KubernetesObject): void {
    if (this.#parsed?.deref() === undefined) this.#parsed = new WeakRef(object)
  }

  /** As {@link adopt}, of another with the same bytes, when it has been parsed. */
  adoptFrom(other: CachedObject): void {
    const known = other.#parsed?.deref()
    if (known !== undefined) this.adopt(known)
  }

  /** The value as it is stored: without resourceVersion. */
  get value(): Buffer {
    const headLength = this.resource.head.length
    return Buffer.concat([this.bytes.subarray(0, headLength), this.bytes.subarray(headLength + slotOf(this.revision).length)])
  }

  /** A copy that its receiver may change. */
  parseCopy(): KubernetesObject {
    return parse(this.resource, this.bytes)
  }

  /** As {@link parseCopy}; what is long is parsed in several turns of the event loop. */
  async copyInTurns(): Promise<KubernetesObject> {
    if (this.bytes.length <= longBytes) return this.parseCopy()
    const object = (await parseInTurns(this.bytes)) as KubernetesObject // as in `parse`
    if (hasNulls(this.resource.schema, this.bytes)) clearNulls(object as unknown as JsonObject, this.resource.schema) // an API object is a JSON object
    return object
  }

  /** What stands between commas in a list; the brace before it is the caller's. */
  get itemTail(): Buffer {
    return this.bytes.subarray(1 + this.resource.typeHeadLength)
  }

  get namespace(): string {
    return this.resource.type.namespaced ? this.key.slice(0, this.key.indexOf('/')) : ''
  }

  get name(): string {
    return this.resource.type.namespaced ? this.key.slice(this.key.indexOf('/') + 1) : this.key
  }

  /** The same object with another resourceVersion: how a deletion shows the last state. */
  atRevision(revision: number): CachedObject {
    return new CachedObject(this.resource, this.key, revision, this, { content: this.content, isCompleted: this.isCompleted })
  }
}

/**
 * `stored` with the slot behind its head. The bytes have memory of their own: of a pool that they share with what is soon gone
 * they would keep all alive, several times what they need.
 */
function withSlot(stored: Buffer, headLength: number, slot: string): Buffer {
  const bytes = Buffer.allocUnsafeSlow(stored.length + slot.length)
  stored.copy(bytes, 0, 0, headLength)
  bytes.write(slot, headLength, 'latin1')
  stored.copy(bytes, headLength + slot.length, headLength)
  return bytes
}

// Of JSON: longer objects are worked on in several turns of the event loop where that costs nothing else.
export const longBytes: number = 64 * 1024

const [quote, backslash, opening, closing] = [0x22, 0x5c, 0x7b, 0x7d]

/** Index behind the object of JSON that begins at `begin`; -1 when it does not end. */
function endOfObject(bytes: Buffer, begin: number): number {
  let depth = 0
  let isInString = false
  for (let at = begin; at < bytes.length; at++) {
    const byte = bytes[at]
    if (isInString) {
      if (byte === backslash) at++
      else if (byte === quote) isInString = false
    } else if (byte === quote) isInString = true
    else if (byte === opening) depth++
    else if (byte === closing && --depth === 0) return at + 1
  }
  return -1
}

const protobufMagic = Buffer.from('k8s\0', 'latin1')
const noLabels: Readonly<Record<string, string>> = Object.freeze({})

const versionHead = /^\{"apiVersion":"([^"\\]*)",/

/** The version that a stored value is in. */
function storedVersion(value: Uint8Array): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  const quick = versionHead.exec(bytes.subarray(0, 400).toString('latin1'))?.[1]
  if (quick !== undefined) return quick
  return (JSON.parse(bytes.toString('utf8')) as KubernetesObject).apiVersion ?? '' // written by another program in its own order
}

/** The value to store for an object, with `exact` numbers as they came: canonical JSON, without resourceVersion, kind and version first and then metadata. */
export function encodeStored(resource: StoredResource, object: KubernetesObject, exact?: ExactNumbers): Buffer {
  return Buffer.from(JSON.stringify(storedForm(resource, object), replacerOf(exact)), 'utf8')
}

/** As {@link encodeStored}; what is large is written in several turns of the event loop and must not change meanwhile. */
export function encodeStoredInTurns(resource: StoredResource, object: KubernetesObject, exact?: ExactNumbers): Promise<Buffer> {
  return stringifyInTurns(storedForm(resource, object), replacerOf(exact))
}

const replacerOf = (exact: ExactNumbers | undefined): ReturnType<typeof exactReplacer> | undefined =>
  exact === undefined || exact.size === 0 ? undefined : exactReplacer(exact)

function storedForm({ type, schema }: StoredResource, object: KubernetesObject): object {
  const head = { apiVersion: apiVersionOf(type), kind: type.kind, metadata: { ...object.metadata, resourceVersion: undefined } }
  const written: object = schema === undefined ? object : withNulls(object as unknown as JsonObject, schema) // API objects are JSON objects
  // The first mention of a property gives its place, the last one its value.
  return { ...head, ...written, ...head }
}

function hasNulls(schema: StoredResource['schema'], bytes: Buffer): schema is TypeSchema {
  return schema !== undefined && bytes.includes(':null')
}

function parse({ schema }: StoredResource, bytes: Buffer): KubernetesObject {
  const object: unknown = JSON.parse(bytes.toString('utf8'))
  if (hasNulls(schema, bytes)) clearNulls(object as JsonObject, schema) // as above
  return object as KubernetesObject // the bytes were encoded from an object of this resource
}

/** The value with what its kind is stored without; itself when it has that. */
function completed(resource: StoredResource, value: Buffer): Buffer {
  if (resource.complete === undefined) return value
  const object = parse(resource, value)
  return resource.complete(object) ? encodeStored(resource, object) : value
}

function canonical(resource: StoredResource, value: Uint8Array): Buffer {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (bytes.subarray(0, resource.head.length).equals(Buffer.from(resource.head, 'latin1')) && bytes[resource.head.length] !== 0x7d)
    return bytes
  // Everything under the prefix is of this kind; kube-apiserver writes protobuf.
  const object: unknown = bytes.subarray(0, protobufMagic.length).equals(protobufMagic)
    ? decodeProtobuf(bytes, ({ apiVersion, kind }) => schemaOf(apiVersion, kind))
    : JSON.parse(bytes.toString('utf8'))
  return encodeStored(resource, object as KubernetesObject)
}
