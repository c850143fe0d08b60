import type { KeyRange, KeyValue, ListOptions, ListResult } from '../../contract.ts'
import { DatastoreError, isDatastoreError } from '../../errors.ts'
import type { Message, MessageInput } from '../../etcd/messages.ts'
import { toRangeRequest } from './requests.ts'

/** etcd answers in one message, which it and we hold whole: pages keep it at some MiB. */
const pageBytes = 4 * 2 ** 20
const firstPageItems = 1000
const maxPageItems = 20_000
/** A newest state whose pages are compacted away again and again is not to be had. */
const maxTries = 5

type ReadPage = (request: MessageInput<'RangeRequest'>) => Promise<Message<'RangeResponse'> & { readonly revision: number }>

/** Lists a range in pages, all of the state that the first has shown. */
export async function readPages(range: KeyRange, options: Omit<ListOptions, 'signal'>, readPage: ReadPage): Promise<ListResult> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readOnce(range, options, readPage)
    } catch (error) {
      // Compacted while it was read: there is a newer state.
      if (!isDatastoreError(error) || error.code !== 'Compacted' || options.revision !== undefined || attempt === maxTries) throw error
    }
  }
}

async function readOnce(range: KeyRange, options: Omit<ListOptions, 'signal'>, readPage: ReadPage): Promise<ListResult> {
  const limit = options.limit === undefined || options.limit === 0 ? Infinity : options.limit
  const first = await readPage(toRangeRequest(range, { ...options, limit: Math.min(limit, firstPageItems) }))
  const { revision, count } = first
  if (options.countOnly === true) return { revision, items: [], count, more: false }
  const items: KeyValue[] = [...first.kvs]
  let { more, kvs } = first
  while (more && items.length < limit) {
    const last = kvs.at(-1)
    if (last === undefined) throw new DatastoreError('Unavailable', 'etcd gives no items though it says that there are more')
    const page = await readPage(
      toRangeRequest(
        { start: next(last.key), end: range.end },
        { ...options, revision: options.revision ?? revision, limit: Math.min(limit - items.length, pageItems(kvs)) },
      ),
    )
    for (const item of page.kvs) items.push(item)
    ;({ more, kvs } = page)
  }
  return { revision, items, count, more }
}

/** As many as should fit, by the page before. */
function pageItems(kvs: readonly KeyValue[]): number {
  const bytes = kvs.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
  return Math.max(1, Math.min(maxPageItems, Math.floor((kvs.length * pageBytes) / Math.max(1, bytes))))
}

/** The least key behind `key`. */
function next(key: Uint8Array): Uint8Array {
  const after = new Uint8Array(key.length + 1)
  after.set(key)
  return after
}
