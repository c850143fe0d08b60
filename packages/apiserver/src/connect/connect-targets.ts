import { badRequest, notFound, StatusError } from '@k3s/api'
import { nodes, pods, services, type Pod } from '@k3s/api/types/core/v1'
import { endpointslices } from '@k3s/api/types/discovery/v1'
import type { RequestInfo } from '../http/request-info.ts'
import type { ConnectTarget } from '../pipeline/answer.ts'
import type { ObjectReader } from '../registry/strategy.ts'
import { parseProxyName } from './proxy-name.ts'
import { checkProxyable } from './proxyable-address.ts'

/** Finds where connect requests go. All read the caches only, and throw StatusErrors in upstream's words. */

const defaultKubeletPort = 10250

/** What the functions here need of a request. */
export interface ConnectRequest {
  readonly info: RequestInfo
  readonly query: URLSearchParams
  readonly objects: ObjectReader
  /** Uniform in [0, 1). */
  readonly random: () => number
}

function podOf({ info, objects }: ConnectRequest, name: string): Pod {
  const pod = objects.get(pods, info.namespace, name)
  if (pod === undefined) throw notFound(pods, name)
  return pod
}

function kubelet({ objects }: ConnectRequest, node: string, path: string): ConnectTarget {
  const found = objects.get(nodes, '', node)
  if (found === undefined) throw notFound(nodes, node)
  const port = found.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0
  return { dial: { node, port: port > 0 ? port : defaultKubeletPort }, scheme: 'https', path, isKubelet: true }
}

/** Where a pod's log is; undefined while the pod has no node, when its log is empty. */
export function logTarget(request: ConnectRequest): ConnectTarget | undefined {
  const { info, query } = request
  const pod = podOf(request, info.name)
  const container = containerOf(pod, query.get('container') ?? '')
  checkLogOptions(query)
  const node = pod.spec.nodeName ?? ''
  if (node === '') return undefined
  const passed = new URLSearchParams()
  for (const name of ['follow', 'previous', 'timestamps', 'sinceSeconds', 'sinceTime', 'tailLines', 'limitBytes', 'stream']) {
    const value = query.get(name)
    if (value !== null && value !== '' && value !== 'false') passed.set(name, value)
  }
  const path = `/containerLogs/${encodeURIComponent(info.namespace)}/${encodeURIComponent(pod.metadata.name)}/${encodeURIComponent(container)}`
  return kubelet(request, node, passed.size === 0 ? path : `${path}?${passed.toString()}`)
}

function checkLogOptions(query: URLSearchParams): void {
  for (const [name, least] of [
    ['tailLines', 0],
    ['sinceSeconds', 1],
    ['limitBytes', 1],
  ] as const) {
    const text = query.get(name)
    if (text === null || text === '') continue
    if (!/^-?\d+$/.test(text)) throw badRequest(`${name} must be an integer`)
    if (Number(text) < least)
      throw new StatusError(
        'Invalid',
        `PodLogOptions "" is invalid: ${name}: Invalid value: ${text}: must be greater than ${least === 0 ? 'or equal to 0' : '0'}`,
        {
          details: { kind: 'PodLogOptions', causes: [{ field: name, reason: 'FieldValueInvalid', message: `Invalid value: ${text}` }] },
        },
      )
  }
  if (query.has('sinceSeconds') && query.has('sinceTime'))
    throw new StatusError(
      'Invalid',
      'PodLogOptions "" is invalid: sinceSeconds: Forbidden: at most one of sinceTime or sinceSeconds may be specified',
    )
}

/** The container that a request names, or the only one. */
function containerOf(pod: Pod, wanted: string): string {
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec
  const name = pod.metadata.name
  if (wanted !== '') {
    if (![...containers, ...initContainers, ...ephemeralContainers].some((container) => container.name === wanted))
      throw badRequest(`container ${wanted} is not valid for pod ${name}`)
    return wanted
  }
  const [only] = containers
  if (containers.length === 1 && only !== undefined && initContainers.length === 0 && ephemeralContainers.length === 0) return only.name
  const annotated = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container']
  if (annotated !== undefined && containers.some((container) => container.name === annotated)) return annotated
  if (containers.length === 1 && only !== undefined) return only.name
  const list = (all: readonly { readonly name: string }[]): string => `[${all.map((container) => container.name).join(' ')}]`
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: ${list(containers)}${initContainers.length > 0 ? ` or one of the init containers: ${list(initContainers)}` : ''}`,
  )
}

function nodeOf(pod: Pod): string {
  const node = pod.spec.nodeName ?? ''
  if (node === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
  return node
}

const isYes = (value: string | null): boolean => value !== null && value !== 'false' && value !== '0'

/** `exec` and `attach`. */
export function execTarget(request: ConnectRequest, subresource: 'exec' | 'attach'): ConnectTarget {
  const { info, query } = request
  const pod = podOf(request, info.name)
  const container = containerOf(pod, query.get('container') ?? '')
  const node = nodeOf(pod)
  const passed = new URLSearchParams()
  if (isYes(query.get('stdin'))) passed.set('input', '1')
  if (isYes(query.get('stdout'))) passed.set('output', '1')
  if (isYes(query.get('stderr'))) passed.set('error', '1')
  if (isYes(query.get('tty'))) passed.set('tty', '1')
  if (subresource === 'exec') for (const part of query.getAll('command')) passed.append('command', part)
  const path = `/${subresource}/${encodeURIComponent(info.namespace)}/${encodeURIComponent(pod.metadata.name)}/${encodeURIComponent(container)}`
  return kubelet(request, node, `${path}?${passed.toString()}`)
}

export function portForwardTarget(request: ConnectRequest): ConnectTarget {
  const { info, query } = request
  const pod = podOf(request, info.name)
  const node = nodeOf(pod)
  const passed = new URLSearchParams()
  for (const ports of query.getAll('ports')) for (const port of ports.split(',')) passed.append('port', port)
  const path = `/portForward/${encodeURIComponent(info.namespace)}/${encodeURIComponent(pod.metadata.name)}`
  return kubelet(request, node, passed.size === 0 ? path : `${path}?${passed.toString()}`)
}

/** Where a `proxy` request goes. */
export function proxyTarget(request: ConnectRequest): ConnectTarget {
  const { info, query } = request
  const text = query.toString()
  const path = `${info.rest === '' ? '/' : info.rest}${text === '' ? '' : `?${text}`}`
  const proxiedAt = info.path.slice(0, info.path.length - info.rest.length)
  switch (info.resource) {
    case 'nodes':
      return { ...nodeProxy(request, path), proxiedAt }
    case 'pods':
      return { ...podProxy(request, path), proxiedAt }
    default:
      return { ...serviceProxy(request, path), proxiedAt }
  }
}

function nodeProxy(request: ConnectRequest, path: string): ConnectTarget {
  const { scheme, name, port } = parseProxyName(request.info.name, 'node')
  const target = kubelet(request, name, path)
  if (port === '' || !('node' in target.dial) || port === String(target.dial.port)) return target
  return { ...target, dial: { node: name, port: numericPort(port) }, scheme: scheme === 'https' ? 'https' : 'http', isKubelet: false }
}

function numericPort(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw badRequest(`invalid port ${JSON.stringify(text)}`)
  return port
}

function podProxy(request: ConnectRequest, path: string): ConnectTarget {
  const { scheme, name, port } = parseProxyName(request.info.name, 'pod')
  const pod = podOf(request, name)
  const host = pod.status?.podIP ?? ''
  if (host === '') throw badRequest(`address not allowed: pod ${name} has no IP`)
  checkProxyable(host)
  const declared = pod.spec.containers.flatMap((container) => container.ports ?? [])
  const number =
    port === ''
      ? (declared[0]?.containerPort ?? 80)
      : (declared.find((candidate) => candidate.name === port)?.containerPort ?? numericPort(port))
  return { dial: { host, port: number }, scheme: scheme === 'https' ? 'https' : 'http', path, isKubelet: false }
}

/** One of the ready endpoints behind the service's port. */
function serviceProxy(request: ConnectRequest, path: string): ConnectTarget {
  const { info, objects, random } = request
  const { scheme, name, port } = parseProxyName(info.name, 'service')
  const service = objects.get(services, info.namespace, name)
  if (service === undefined) throw notFound(services, name)
  const ports = service.spec.ports ?? []
  const wanted =
    port === ''
      ? ports.length === 1
        ? ports[0]
        : undefined
      : ports.find((candidate) => candidate.name === port || String(candidate.port) === port)
  const unavailable = (): StatusError =>
    new StatusError('ServiceUnavailable', `no endpoints available for service ${JSON.stringify(info.name)}`)
  if (wanted === undefined)
    throw new StatusError('ServiceUnavailable', `no service port ${JSON.stringify(port)} found for service ${JSON.stringify(name)}`)
  const candidates = objects
    .list(endpointslices, info.namespace)
    .filter((slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === name && slice.addressType !== 'FQDN')
    .flatMap((slice) => {
      const found = slice.ports?.find((candidate) => (candidate.name ?? '') === (wanted.name ?? ''))?.port
      if (found === undefined) return []
      return (slice.endpoints ?? [])
        .filter(({ conditions }) => conditions?.ready !== false)
        .flatMap(({ addresses }) => addresses ?? [])
        .map((host) => ({ host, port: found }))
    })
  const chosen = candidates[Math.floor(random() * candidates.length)]
  if (chosen === undefined) throw unavailable()
  checkProxyable(chosen.host)
  return { dial: chosen, scheme: scheme === 'https' ? 'https' : 'http', path, isKubelet: false }
}
