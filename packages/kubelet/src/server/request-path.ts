/** What a request to the kubelet is for. */
export type KubeletRequest =
  | { readonly kind: 'healthz' | 'pods' | 'runningpods' | 'summary' | 'metrics' | 'resourceMetrics' | 'cadvisorMetrics' }
  | { readonly kind: 'containerLogs'; readonly namespace: string; readonly pod: string; readonly container: string }
  | {
      readonly kind: 'run' | 'exec' | 'attach'
      readonly namespace: string
      readonly pod: string
      readonly uid: string
      readonly container: string
    }
  | { readonly kind: 'portForward'; readonly namespace: string; readonly pod: string; readonly uid: string }

const fixed: Readonly<Record<string, 'healthz' | 'pods' | 'runningpods' | 'summary' | 'metrics' | 'resourceMetrics' | 'cadvisorMetrics'>> =
  {
    '/healthz': 'healthz',
    '/healthz/ping': 'healthz',
    '/healthz/syncloop': 'healthz',
    '/pods': 'pods',
    '/pods/': 'pods',
    '/runningpods': 'runningpods',
    '/runningpods/': 'runningpods',
    '/stats/summary': 'summary',
    '/metrics': 'metrics',
    '/metrics/resource': 'resourceMetrics',
    '/metrics/cadvisor': 'cadvisorMetrics',
  }

/** Reads a path; `undefined` when nothing is served there. */
export function parseRequestPath(path: string): KubeletRequest | undefined {
  const kind = fixed[path]
  if (kind !== undefined) return { kind }
  let parts: string[]
  try {
    parts = path
      .split('/')
      .slice(1)
      .map((part) => decodeURIComponent(part))
  } catch {
    return undefined // a percent sign that encodes nothing
  }
  const [verb, namespace = '', pod = '', third = '', fourth] = parts
  if (namespace === '' || pod === '') return undefined
  if (verb === 'containerLogs') return parts.length === 4 && third !== '' ? { kind: verb, namespace, pod, container: third } : undefined
  if (verb === 'portForward') return parts.length <= 4 ? { kind: verb, namespace, pod, uid: third } : undefined
  if (verb !== 'run' && verb !== 'exec' && verb !== 'attach') return undefined
  if (third === '' || parts.length > 5) return undefined
  return fourth === undefined
    ? { kind: verb, namespace, pod, uid: '', container: third }
    : { kind: verb, namespace, pod, uid: third, container: fourth }
}

/** The node subresource that a request needs rights on, as upstream maps it. */
export function subresourceOf({ kind }: KubeletRequest): 'healthz' | 'pods' | 'stats' | 'metrics' | 'proxy' {
  switch (kind) {
    case 'healthz':
    case 'pods':
    case 'metrics':
      return kind
    case 'summary':
      return 'stats'
    case 'resourceMetrics':
    case 'cadvisorMetrics':
      return 'metrics'
    default:
      return 'proxy'
  }
}
