import { badRequest, conflict, invalid, notFound } from '@k3s/api'
import type { TokenRequest } from '@k3s/api/types/authentication/v1'
import { nodes, pods, secrets, serviceaccounts } from '@k3s/api/types/core/v1'
import { decodeJwt } from 'jose'
import type { IssueRequest, ServiceAccountTokens } from '../../auth/tokens/service-account-tokens.ts'
import { invalidValue } from '../../validation/field-error.ts'
import type { Subresource, SubresourceRequest } from '../../registry/strategy.ts'

const kind = { group: 'authentication.k8s.io', kind: 'TokenRequest' }
const minSeconds = 600
const maxSeconds = 2 ** 32
const defaultSeconds = 3600
/** Kubelets ask for this odd lifetime for tokens of pods whose programs may not read them again: such tokens live a year, and are stale after this. */
const warnOnlySeconds = 3607
const extendedSeconds = 365 * 24 * 3600

/** The object that the token is bound to. Throws NotFound, Conflict or BadRequest. */
async function boundObject(request: SubresourceRequest, body: TokenRequest): Promise<Pick<IssueRequest, 'pod' | 'node' | 'secret'>> {
  const reference = body.spec.boundObjectRef
  if (reference === undefined) return {}
  const { namespace, objects } = request.scope
  const { name = '', uid } = reference
  const check = (resource: string, found: string | undefined): void => {
    if (!uid || uid === found) return
    const why = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`
    throw conflict({ resource }, name, why)
  }
  switch (reference.apiVersion === 'v1' ? reference.kind : '') {
    case 'Pod': {
      const pod = await request.operations.get(pods, { namespace, name })
      if (pod.spec.serviceAccountName !== request.name) {
        throw badRequest(`cannot bind token for serviceaccount "${request.name}" to pod running with different serviceaccount name.`)
      }
      check('Pod', pod.metadata.uid)
      const node = pod.spec.nodeName ? (objects.get(nodes, '', pod.spec.nodeName) ?? { metadata: { name: pod.spec.nodeName } }) : undefined
      return { pod, ...(node === undefined ? {} : { node }) }
    }
    case 'Node': {
      const node = await request.operations.get(nodes, { namespace: '', name })
      check('Node', node.metadata.uid)
      return { node }
    }
    case 'Secret': {
      const secret = await request.operations.get(secrets, { namespace, name })
      check('Secret', secret.metadata.uid)
      return { secret }
    }
    default:
      throw badRequest(`cannot bind token to object of type ${reference.apiVersion ?? ''}, Kind=${reference.kind ?? ''}`)
  }
}

async function handle(tokens: ServiceAccountTokens, request: SubresourceRequest): Promise<TokenRequest> {
  // The core decoded the body as the kind that this subresource declares.
  const body = request.body as TokenRequest
  const { namespace, now } = request.scope
  const { metadata, spec } = body
  if (metadata.name !== '' && metadata.name !== request.name) {
    throw invalid(kind, request.name, [invalidValue('metadata.name', metadata.name, 'must match the service account name if specified')])
  }
  if (metadata.namespace && metadata.namespace !== namespace) {
    throw invalid(kind, request.name, [
      invalidValue('metadata.namespace', metadata.namespace, 'must match the service account namespace if specified'),
    ])
  }
  const account = await request.operations.get(serviceaccounts, { namespace, name: request.name })
  if (account.metadata.uid === undefined) throw notFound(serviceaccounts, request.name)
  if (metadata.uid && metadata.uid !== account.metadata.uid) {
    const why = `the UID in the token request (${metadata.uid}) does not match the UID of the service account (${account.metadata.uid})`
    throw conflict({ group: kind.group, resource: kind.kind }, request.name, why)
  }
  const audiences = (spec.audiences ?? []).length === 0 ? [...tokens.audiences] : (spec.audiences ?? [])
  const asked = spec.expirationSeconds ?? defaultSeconds
  const field = 'spec.expirationSeconds'
  if (asked < minSeconds) throw invalid(kind, '', [invalidValue(field, asked, 'may not specify a duration less than 10 minutes')])
  if (asked > maxSeconds) throw invalid(kind, '', [invalidValue(field, asked, 'may not specify a duration larger than 2^32 seconds')])
  const bound = await boundObject(request, body)
  const seconds = Math.min(asked, tokens.maxExpirationSeconds)
  if (seconds < asked) request.scope.warn(`requested expiration of ${asked} seconds shortened to ${seconds} seconds`)
  const isExtended =
    tokens.extendsExpiration &&
    bound.pod !== undefined &&
    seconds === warnOnlySeconds &&
    audiences.every((audience) => tokens.audiences.includes(audience))
  const token = await tokens.issue({
    account,
    audiences,
    expirationSeconds: isExtended ? Math.min(extendedSeconds, tokens.maxExpirationSeconds) : seconds,
    ...(isExtended ? { warnAfterSeconds: seconds } : {}),
    ...bound,
  })
  request.scope.annotate?.('authentication.kubernetes.io/issued-credential-id', `JTI=${decodeJwt(token).jti ?? ''}`)
  const expires = new Date(Date.parse(now) + seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z')
  return {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: { ...metadata, name: request.name, namespace, uid: account.metadata.uid, creationTimestamp: now },
    spec: { ...spec, audiences, expirationSeconds: seconds },
    status: { token, expirationTimestamp: expires },
  }
}

/** POST of a TokenRequest: a new token of the service account, bound to a pod, node or Secret if asked. */
export function tokenSubresource(tokens: ServiceAccountTokens): Subresource {
  return { ...kind, version: 'v1', verbs: ['create'], handle: (request) => handle(tokens, request) }
}
