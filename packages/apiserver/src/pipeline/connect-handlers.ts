import { apiVersionOf, schemaOf, type KubernetesObject } from '@k3s/api'
import type { AdmissionRequest } from '../admission/admission.ts'
import { execTarget, logTarget, portForwardTarget, proxyTarget, type ConnectRequest } from '../connect/connect-targets.ts'
import { methodNotAllowed } from '../errors.ts'
import { isTrueParameter } from '../http/request-info.ts'
import { admit, validateAdmission } from '../registry/registry-context.ts'
import type { Answer, ConnectTarget } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import { scopeOf, type ResourceRequest } from './resource-request.ts'

const connectSubresources = new Set(['log', 'exec', 'attach', 'portforward', 'proxy'])

/** Whether a subresource's requests go on to a kubelet or another server. */
export function isConnectSubresource(subresource: string): boolean {
  return connectSubresources.has(subresource)
}

/** Finds where a connect request goes, after admission. */
export async function connectSubresource(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  const { info, call } = request
  await core.feed.waitForNewest(call.signal)
  const connect: ConnectRequest = { info, query: call.query, objects: core.objects, random: core.random }
  if (info.subresource === 'log') {
    if (info.verb !== 'get') throw methodNotAllowed()
    const target = logTarget(connect)
    // A pod without a node has written nothing yet.
    return target === undefined ? { type: 'bytes', code: 200, contentType: 'text/plain', bytes: '' } : { type: 'connect', target }
  }
  if (info.subresource !== 'proxy' && info.verb !== 'get' && info.verb !== 'create') throw methodNotAllowed()
  await checkAdmission(core, request)
  const target = targetOf(connect)
  // Only who may go there, and could, is told where it is.
  return (info.subresource === 'proxy' ? slashRedirect(request) : undefined) ?? { type: 'connect', target }
}

function targetOf(connect: ConnectRequest): ConnectTarget {
  switch (connect.info.subresource) {
    case 'exec':
      return execTarget(connect, 'exec')
    case 'attach':
      return execTarget(connect, 'attach')
    case 'portforward':
      return portForwardTarget(connect)
    default:
      return proxyTarget(connect)
  }
}

/** Relative links of what is proxied work only below a path that ends with a slash. */
function slashRedirect({ info, call }: ResourceRequest): Answer | undefined {
  if (info.rest !== '' || (call.method !== 'GET' && call.method !== 'HEAD')) return undefined
  const text = call.query.toString()
  const location = `${call.path}/${text === '' ? '' : `?${text}`}`
  return { type: 'bytes', code: 301, contentType: 'text/plain', bytes: '', headers: { location } }
}

async function checkAdmission(core: ApiCore, request: ResourceRequest): Promise<void> {
  const { info, served } = request
  const admission: AdmissionRequest = {
    operation: 'CONNECT',
    type: served.type,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    object: connectOptions(request),
    oldObject: undefined,
    scope: scopeOf(core, request, { dryRun: false, fieldManager: '' }),
  }
  await admit(core.registry, admission)
  await validateAdmission(core.registry, admission)
}

/** The query as the object that admission sees: PodExecOptions and their like. */
function connectOptions({ info, call, served }: ResourceRequest): KubernetesObject | undefined {
  const known = served.info.subresources.find(({ name }) => name === info.subresource)
  const schema = known === undefined ? undefined : schemaOf(apiVersionOf(known), known.kind)
  if (known === undefined || schema === undefined) return undefined
  const options: Record<string, unknown> = { kind: known.kind, apiVersion: apiVersionOf(known) }
  for (const [name, { value }] of schema.byName) {
    const texts = call.query.getAll(name)
    const [text] = texts
    if (text === undefined) continue
    if (value.kind === 'list') options[name] = value.items.kind === 'int32' ? texts.map(Number) : texts
    else if (value.kind === 'bool') options[name] = isTrueParameter(text)
    else options[name] = value.kind === 'int32' || value.kind === 'int64' ? Number(text) : text
  }
  if (info.subresource === 'proxy' && info.rest !== '') options['path'] = info.rest
  return options as unknown as KubernetesObject // options have no metadata
}
