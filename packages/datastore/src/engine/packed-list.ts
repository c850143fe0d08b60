/**
 * Lists as a backend may deliver them: the bytes of many items in one array and their numbers in one text. Who only passes them on, as the server
 * of etcd's API does, then makes no object an item. An ability inside this package, not of the contract.
 */
import type { Datastore, KeyRange, KeyValue, ListOptions, ListResult } from '../contract.ts'

/** Some items, in byte order of their keys. */
export interface PackedItems {
  /** Key and value of one item after the other. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** JSON of {@link ItemNumbers}. */
  readonly numbers: string
}

/** What items have beside their bytes: a list of each, in the order of the items. */
export type ItemNumbers = readonly [
  keyLengths: readonly number[],
  valueLengths: readonly number[],
  createRevisions: readonly number[],
  modRevisions: readonly number[],
  versions: readonly number[],
  /** A text when it is not 0. */
  leaseIds: readonly (0 | string)[],
]

export interface PackedList extends Omit<ListResult, 'items'> {
  readonly parts: readonly PackedItems[]
}

/** As {@link Datastore.list}. */
export type PackedLister = (range: KeyRange, options?: ListOptions) => Promise<PackedList>

export interface ListsPacked extends Datastore {
  /** Undefined where the backend cannot. */
  readonly listPacked: PackedLister | undefined
}

export function listsPacked(datastore: Datastore): datastore is ListsPacked {
  return 'listPacked' in datastore
}

export function readNumbers({ numbers }: PackedItems): ItemNumbers {
  return JSON.parse(numbers) as ItemNumbers // made so
}

/** The items are views of the part: who keeps one keeps the part. */
export function unpackItems(part: PackedItems): KeyValue[] {
  const { bytes } = part
  const [keyLengths, valueLengths, createRevisions, modRevisions, versions, leaseIds] = readNumbers(part)
  let position = 0
  return keyLengths.map((keyLength, index) => {
    const keyEnd = position + keyLength
    const end = keyEnd + (valueLengths[index] ?? 0)
    const leaseId = leaseIds[index] ?? 0
    const item = {
      key: bytes.subarray(position, keyEnd),
      value: bytes.subarray(keyEnd, end),
      createRevision: createRevisions[index] ?? 0,
      modRevision: modRevisions[index] ?? 0,
      version: versions[index] ?? 0,
      leaseId: leaseId === 0 ? 0n : BigInt(leaseId),
    }
    position = end
    return item
  })
}
