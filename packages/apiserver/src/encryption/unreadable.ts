import { StatusError } from '@k3s/api'
import type { KeyValue } from '@k3s/datastore'

const mark: unique symbol = Symbol('Why a value cannot be decrypted')

interface Marked {
  readonly [mark]?: StatusError | undefined
}

/** The answer to whoever wants a value that cannot be decrypted: upstream's, which has no reason. */
export function unreadableValue(key: string, cause: unknown): StatusError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new StatusError('', `unable to transform key ${JSON.stringify(key)}: ${why}`, { code: 500, cause })
}

/** The item in place of one whose value cannot be decrypted: it has none. */
export function unreadableItem<T extends KeyValue>(item: T, error: StatusError): T {
  return { ...item, value: new Uint8Array(), [mark]: error }
}

/** Why the value of an item is missing that was read through an encrypted datastore; undefined when it is there. */
export function unreadableOf(item: KeyValue): StatusError | undefined {
  return (item as KeyValue & Marked)[mark] // only `unreadableItem` makes others
}
