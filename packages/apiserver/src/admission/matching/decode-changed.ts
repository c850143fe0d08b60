import { isStatusError, type JsonObject, type KubernetesObject } from '@k3s/api'
import { decodePatched, type DecodeOptions, type ExpectedKind } from '../../codec.ts'
import { internalError } from '../../errors.ts'

/** Brings what a webhook or a policy made of an object into the form of its kind. Throws InternalError: it is not the client's fault. */
export function decodeChanged(value: JsonObject, kind: ExpectedKind, options: Omit<DecodeOptions, 'warn'>): KubernetesObject {
  try {
    return decodePatched(value, kind, { ...options, warn: () => {} })
  } catch (error) {
    if (!isStatusError(error)) throw error
    const message = error.details?.causes?.[0]?.message ?? error.message
    // Patches of clients are answered with what they made; what is wrong with it stands behind.
    const shown = `Invalid value: ${JSON.stringify(JSON.stringify(value))}: `
    throw internalError(message.startsWith(shown) ? message.slice(shown.length) : message, error)
  }
}
