import { badRequest } from '@k3s/api'
import { append } from '@k3s/lifecycle'
import { isObject } from '../json.ts'
import { coerceMetadata, MetadataError, readMetadata } from './schema/object-meta.ts'
import { prune, pruneNulls } from './schema/prune.ts'
import type { JsonMap, Schema } from './schema/schema.ts'

export interface CoerceOptions {
  /** What was stored may be older than today's rules: metadata of a wrong type is dropped and a missing generation made up. */
  readonly isStored: boolean
}

/**
 * Brings a custom resource into the form that a decoder gives to built-in kinds, in place: metadata by its type, no unknown fields, no nulls where
 * there may be none. Answers with the paths of what was unknown. Throws BadRequest with upstream's words.
 */
export function coerceResource(object: JsonMap, schema: Schema | undefined, { isStored }: CoerceOptions): readonly string[] {
  const { kind, apiVersion } = object
  if (kind !== undefined && typeof kind !== 'string')
    throw badRequest(`.kind accessor error: ${show(kind)} is of the type ${typeof kind}, expected string`)
  if (apiVersion !== undefined && typeof apiVersion !== 'string')
    throw badRequest(`.apiVersion accessor error: ${show(apiVersion)} is of the type ${typeof apiVersion}, expected string`)
  const unknown: string[] = []
  let metadata: JsonMap | undefined
  if (object['metadata'] !== undefined) {
    try {
      const read = readMetadata(object['metadata'], '', { dropInvalid: isStored })
      metadata = read.metadata
      append(unknown, read.unknown)
    } catch (error) {
      if (!(error instanceof MetadataError)) throw error
      throw badRequest(
        `${kind ?? ''} in version ${JSON.stringify(versionOf(apiVersion))} cannot be handled as a ${kind ?? ''}: ${error.message}`,
      )
    }
  }
  append(unknown, prune(object, schema, { isRoot: true }))
  pruneNulls(object, schema)
  const { problem, unknown: inner } = coerceMetadata(object, schema, { isRoot: false, dropInvalid: isStored })
  if (problem !== undefined)
    throw badRequest(
      `${kind ?? ''} in version ${JSON.stringify(versionOf(apiVersion))} cannot be handled as a ${kind ?? ''}: ${problem.field ?? ''}: ${problem.message ?? ''}`,
    )
  append(unknown, inner)
  if (kind !== undefined) object['kind'] = kind
  if (apiVersion !== undefined) object['apiVersion'] = apiVersion
  if (isStored && metadata !== undefined) metadata['generation'] ??= 1
  if (metadata !== undefined) object['metadata'] = metadata
  return unknown
}

const versionOf = (apiVersion: string | undefined): string => (apiVersion ?? '').slice((apiVersion ?? '').indexOf('/') + 1)
const show = (value: unknown): string => (isObject(value) ? 'map' : String(value))
