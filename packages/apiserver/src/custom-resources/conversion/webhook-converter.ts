import { randomUUID } from 'node:crypto'
import { request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as tlsConnect } from 'node:tls'
import type { CustomResourceDefinition, WebhookClientConfig } from '@k3s/api/types/apiextensions/v1'
import { internalError } from '../../errors.ts'
import { copyJson, equalJson, isObject } from '../../json.ts'
import { nextTurn, parseInTurns, stringifyInTurns } from '../../off-loop/json-in-turns.ts'
import { validateAnnotations, validateLabels } from '../../validation/object-meta.ts'
import type { JsonMap } from '../schema/schema.ts'
import type { Converter } from './converter.ts'

/** How to reach the Service of a webhook. */
export interface WebhookDialer {
  /** A byte stream to a port of a Service, and the name that its certificate must have. Rejects when there is no such Service or no endpoint. */
  dialService(service: { readonly namespace: string; readonly name: string; readonly port: number }, signal: AbortSignal): Promise<Duplex>
}

// As upstream: a webhook that takes longer has failed.
const timeoutMs = 30_000
// A webhook may answer with more than it was asked, but not without bounds.
const maxAnswerBytes = 64 * 1024 * 1024
// Objects that get their metadata back before others have a turn.
const mergedAtOnce = 100

/** Asks a webhook to convert objects; follows upstream's `apiextensions.k8s.io` ConversionReview. */
export function webhookConverter(definition: CustomResourceDefinition, dialer: WebhookDialer): Converter {
  const { webhook } = definition.spec.conversion ?? {}
  const config = webhook?.clientConfig ?? {}
  const versions = webhook?.conversionReviewVersions ?? []
  const kind = definition.spec.names.kind
  return {
    isTrivial: false,
    convert: async (objects, apiVersion, signal) => {
      const needed = objects.filter((object) => object['apiVersion'] !== apiVersion)
      if (needed.length === 0) return objects
      const from = `${String(needed[0]?.['apiVersion'] ?? '')}, Kind=${kind}`
      const version = versions.find((one) => one === 'v1' || one === 'v1beta1')
      if (version === undefined) throw failure(from, 'does not recognize any of the supported review versions')
      const uid = randomUUID()
      const review = {
        kind: 'ConversionReview',
        apiVersion: `apiextensions.k8s.io/${version}`,
        request: { uid, desiredAPIVersion: apiVersion, objects: needed },
      }
      const answer = await ask(config, dialer, await stringifyInTurns(review), signal).catch((error: unknown) => {
        throw internalError(`conversion webhook for ${from} failed: ${error instanceof Error ? error.message : String(error)}`, error)
      })
      const converted = await readReview(answer, { uid, version, from, count: needed.length })
      let next = 0
      const results: JsonMap[] = []
      for (const object of objects) {
        const index = next
        if (object['apiVersion'] !== apiVersion) {
          const result = converted[next++]
          if (!isObject(result)) throw failure(from, `returned invalid converted object at index ${index}: it is no object`)
          results.push(merged(object, result, { apiVersion, kind, from, index }))
        } else results.push(object)
        if (results.length % mergedAtOnce === 0) await nextTurn()
      }
      return results
    },
  }
}

const failure = (from: string, why: string): Error => internalError(`conversion webhook for ${from} ${why}`)

interface ReviewContext {
  readonly uid: string
  readonly version: string
  readonly from: string
  readonly count: number
}

async function readReview(text: Buffer, { uid, version, from, count }: ReviewContext): Promise<readonly unknown[]> {
  let review: unknown
  try {
    review = await parseInTurns(text)
  } catch (error) {
    throw internalError(`conversion webhook for ${from} failed: ${error instanceof Error ? error.message : String(error)}`, error)
  }
  if (!isObject(review) || review['kind'] !== 'ConversionReview' || review['apiVersion'] !== `apiextensions.k8s.io/${version}`)
    throw failure(from, `failed: invalid ConversionReview response`)
  const { response } = review
  if (!isObject(response)) throw failure(from, 'failed: no response provided')
  if (version === 'v1' && response['uid'] !== uid)
    throw failure(from, `failed: expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response['uid'] ?? '')}`)
  const result = isObject(response['result']) ? response['result'] : {}
  if (result['status'] !== 'Success') {
    if (typeof result['message'] === 'string' && result['message'] !== '') throw failure(from, `failed: ${result['message']}`)
    throw failure(from, `failed: response.result.status was '${String(result['status'] ?? '')}', not 'Success'`)
  }
  const objects = Array.isArray(response['convertedObjects']) ? response['convertedObjects'] : []
  if (objects.length !== count) throw failure(from, `returned ${objects.length} objects, expected ${count}`)
  return objects
}

/** What the webhook made, with the metadata of the original: only labels and annotations may change. */
function merged(
  original: JsonMap,
  result: JsonMap,
  { apiVersion, kind, from, index }: { readonly apiVersion: string; readonly kind: string; readonly from: string; readonly index: number },
): JsonMap {
  const invalid = (why: string): Error => failure(from, `returned invalid converted object at index ${index}: ${why}`)
  if (result['apiVersion'] !== apiVersion)
    throw invalid(`invalid groupVersion (expected ${apiVersion}, received ${String(result['apiVersion'] ?? '')})`)
  if (result['kind'] !== kind) throw invalid(`invalid kind (expected ${kind}, received ${String(result['kind'] ?? '')})`)
  const before = isObject(original['metadata']) ? original['metadata'] : {}
  const after = result['metadata']
  if (!isObject(after)) throw failure(from, `returned invalid metadata in object at index ${index}: missing metadata in converted object`)
  for (const name of ['name', 'namespace', 'uid'])
    if ((before[name] ?? '') !== (after[name] ?? ''))
      throw invalid(`must have the same ${name === 'uid' ? 'UID' : name}: ${String(before[name] ?? '')} != ${String(after[name] ?? '')}`)
  const metadata: JsonMap = copyJson(before)
  for (const name of ['labels', 'annotations'] as const) {
    const value = after[name]
    if (value === undefined || value === null) {
      delete metadata[name]
      continue
    }
    if (!isObject(value) || Object.values(value).some((one) => typeof one !== 'string'))
      throw failure(from, `returned invalid metadata in object at index ${index}: invalid metadata.${name} in converted object`)
    const strings = value as Record<string, string> // checked above
    const validate = name === 'labels' ? validateLabels : validateAnnotations
    const problems = equalJson(strings, before[name]) ? [] : validate(strings, `metadata.${name}`)
    if (problems.length > 0)
      throw failure(
        from,
        `returned invalid metadata in object at index ${index}: ${problems.map(({ field = '', message = '' }) => `${field}: ${message}`).join(', ')}`,
      )
    metadata[name] = strings
  }
  return { ...result, metadata }
}

/** One POST; rejects on anything but 200. */
async function ask(config: WebhookClientConfig, dialer: WebhookDialer, body: Buffer, outer: AbortSignal): Promise<Buffer> {
  const signal = AbortSignal.any([outer, AbortSignal.timeout(timeoutMs)])
  const ca = config.caBundle === undefined || config.caBundle === '' ? undefined : Buffer.from(config.caBundle, 'base64').toString('utf8')
  const { service } = config
  const url =
    service === undefined
      ? new URL(config.url ?? '')
      : new URL(`https://${service.name}.${service.namespace}.svc:${service.port ?? 443}${service.path ?? '/'}`)
  url.searchParams.set('timeout', `${timeoutMs / 1000}s`)
  // Addresses are no names.
  const name = isIP(url.hostname.replace(/^\[(.*)\]$/, '$1')) === 0 ? { servername: url.hostname } : {}
  const socket =
    service === undefined
      ? undefined
      : await dialer.dialService({ namespace: service.namespace, name: service.name, port: service.port ?? 443 }, signal)
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      url,
      {
        method: 'POST',
        signal,
        agent: false,
        ...(ca === undefined ? {} : { ca }),
        ...name,
        headers: { 'content-type': 'application/json', accept: 'application/json', 'content-length': body.length },
        ...(socket === undefined
          ? {}
          : { createConnection: () => tlsConnect({ socket, ...name, ALPNProtocols: ['http/1.1'], ...(ca === undefined ? {} : { ca }) }) }),
      },
      (response) => {
        const chunks: Buffer[] = []
        let size = 0
        response.on('data', (chunk: Buffer) => {
          size += chunk.length
          if (size > maxAnswerBytes) request.destroy(new Error('the answer is too large'))
          else chunks.push(chunk)
        })
        response.on('error', reject)
        response.on('end', () => {
          const answer = Buffer.concat(chunks)
          if (response.statusCode === 200) resolve(answer)
          else
            reject(
              new Error(statusMessage(answer.toString('utf8')) ?? `the server responded with the status code ${response.statusCode ?? 0}`),
            )
        })
      },
    )
    const post = `Post ${JSON.stringify(url.href)}: `
    request.on('error', (error) => {
      const isTimeout = signal.aborted && !outer.aborted
      reject(new Error(`${post}${isTimeout ? 'context deadline exceeded' : error.message}`, { cause: error }))
    })
    request.end(body)
  })
}

function statusMessage(text: string): string | undefined {
  try {
    const status: unknown = JSON.parse(text)
    return isObject(status) && typeof status['message'] === 'string' ? status['message'] : undefined
  } catch {
    // It is no Status: the code says enough.
    return undefined
  }
}
