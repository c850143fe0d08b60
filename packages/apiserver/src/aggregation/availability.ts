import { hasReason } from '@k3s/api'
import { services, type Service } from '@k3s/api/types/core/v1'
import { endpointslices, type EndpointSlice } from '@k3s/api/types/discovery/v1'
import type { APIService } from '@k3s/api/types/apiregistration/v1'
import type { UserInfo } from '../auth/auth.ts'
import type { ObjectReader } from '../registry/strategy.ts'
import type { Availability } from './api-service-strategy.ts'
import { servicePortOf, type Backend } from './backend.ts'
import type { Endpoint, ServicePort } from './service-endpoint.ts'

/** As whom the aggregator asks for itself. */
export const aggregatorUser: UserInfo = { name: 'system:kube-aggregator', groups: ['system:masters'] }

// Upstream's numbers: any of the endpoints may answer.
const attempts = 5
const probeTimeoutMs = 5000
const maxProbeBytes = 4 * 1024 * 1024

/** The path that an aggregated server must answer. */
export function discoveryPathOf({ metadata, spec }: APIService): string {
  return metadata.name === 'v1.' ? `/api/${spec.version}` : `/apis/${spec.group}/${spec.version}`
}

/** What is wrong with the Service behind an APIService; undefined: the server itself must be asked. */
export function judgeService(objects: ObjectReader, { namespace, name, port }: ServicePort): Availability | undefined {
  const service = objects.get(services, namespace, name)
  const where = `service/${name} in ${JSON.stringify(namespace)}`
  const no = (reason: string, message: string): Availability => ({ status: 'False', reason, message })
  if (service === undefined) return no('ServiceNotFound', `${where} is not present`)
  if (!hasClusterIp(service)) return undefined
  const wanted = service.spec.ports?.find((one) => one.port === port)
  if (wanted === undefined) return no('ServicePortError', `${where} is not listening on port ${port}`)
  const slices = slicesOf(objects, namespace, name)
  if (slices.length === 0) return no('EndpointsNotFound', `cannot find endpointslices for ${where}`)
  const portName = wanted.name ?? ''
  if (slices.some((slice) => hasReadyEndpoint(slice, portName))) return undefined
  return no('MissingEndpoints', `endpointslices for ${where} have no addresses with port name ${JSON.stringify(portName)}`)
}

const hasClusterIp = ({ spec }: Service): boolean => (spec.type ?? 'ClusterIP') === 'ClusterIP'

/** The slices of a Service. */
export function slicesOf(objects: ObjectReader, namespace: string, name: string): readonly EndpointSlice[] {
  return objects.list(endpointslices, namespace).filter(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === name)
}

function hasReadyEndpoint({ endpoints = [], ports = [] }: EndpointSlice, portName: string): boolean {
  return (
    endpoints.some(({ conditions }) => conditions?.ready !== false) &&
    ports.some(({ name, port }) => (name ?? '') === portName && port !== undefined)
  )
}

/** Whether the server behind an APIService can be used: its Service has endpoints, and one of them answers. Throws only when the signal aborts. */
export async function judgeAvailability(
  service: APIService,
  { objects, backend, signal }: { readonly objects: ObjectReader; readonly backend: Backend; readonly signal: AbortSignal },
): Promise<Availability> {
  const port = servicePortOf(service)
  if (port === undefined) return { status: 'True', reason: 'Local', message: 'Local APIServices are always available' }
  const wrong = judgeService(objects, port)
  if (wrong !== undefined) return wrong
  const failures: string[] = []
  const answered = new AbortController()
  const probes = Array.from({ length: attempts }, () =>
    probe(backend, service, port, AbortSignal.any([signal, answered.signal])).catch((error: unknown) => {
      failures.push(error instanceof Error ? error.message : String(error))
      throw error
    }),
  )
  try {
    await Promise.any(probes)
    return { status: 'True', reason: 'Passed', message: 'all checks passed' }
  } catch {
    // Each failure was noted above.
    signal.throwIfAborted()
    return { status: 'False', reason: 'FailedDiscoveryCheck', message: failures.at(-1) ?? '' }
  } finally {
    answered.abort()
  }
}

async function probe(backend: Backend, service: APIService, port: ServicePort, signal: AbortSignal): Promise<void> {
  let endpoint: Endpoint
  try {
    endpoint = backend.resolve(port)
  } catch (error) {
    if (hasReason(error, 'NotFound')) throw new Error(`service ${JSON.stringify(port.name)} not found`, { cause: error })
    throw error
  }
  const { host } = endpoint
  const url = `https://${host.includes(':') ? `[${host}]` : host}:${endpoint.port}${discoveryPathOf(service)}`
  try {
    const { status } = await backend.fetch(service, discoveryPathOf(service), {
      user: aggregatorUser,
      timeoutMs: probeTimeoutMs,
      maxBytes: maxProbeBytes,
      signal,
      endpoint,
    })
    if (status < 200 || status >= 300) throw new Error(`bad status from ${url}: ${status}`)
  } catch (cause) {
    throw new Error(`failing or missing response from ${url}: ${reasonOf(cause)}`, { cause })
  }
}

// The originals' words for what runtimes call by names of their own.
const untrusted = 'tls: failed to verify certificate: x509: certificate signed by unknown authority'
const problems: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  CERT_HAS_EXPIRED: 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid',
  CERT_NOT_YET_VALID: 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid',
  ECONNREFUSED: 'connect: connection refused',
  ECONNRESET: 'read: connection reset by peer',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
}

function reasonOf(thrown: unknown): string {
  for (let cause = thrown; cause instanceof Error; cause = cause.cause) {
    if (cause.name === 'TimeoutError') return 'context deadline exceeded'
    const { code } = cause as { readonly code?: unknown } // errors of the network have one
    const known = typeof code === 'string' && Object.hasOwn(problems, code) ? problems[code] : undefined
    if (known !== undefined) return known
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return message.replace(/^error trying to reach service: /, '')
}
