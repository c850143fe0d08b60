import { subjectaccessreviews } from '@k3s/api/types/authorization/v1'
import { tokenreviews } from '@k3s/api/types/authentication/v1'
import type { Client } from '@k3s/client'
import type { AccessDecision, ServerAccess, ServerCaller } from '@k3s/kubelet'

// As kubelets: what was allowed is asked again after five minutes, what was not after half a minute.
const allowedMs = 300_000
const deniedMs = 30_000
const maxRemembered = 1000

/**
 * Who may use a kubelet's API: the API server by its certificate; everybody else as the API server's own authorization says
 * of `nodes/<subresource>`.
 */
export function createKubeletAccess(
  client: Client,
  nodeName: string,
  now: () => number = () => performance.now(),
): (caller: ServerCaller, access: ServerAccess) => Promise<AccessDecision> {
  const remembered = new Map<string, { readonly decision: AccessDecision; readonly until: number }>()

  async function identify(caller: ServerCaller): Promise<{ readonly user: string; readonly groups: readonly string[] } | undefined> {
    if (caller.user !== undefined) return { user: caller.user, groups: [...caller.groups, 'system:authenticated'] }
    if (caller.bearerToken === undefined) return undefined
    const { status } = await client.resource(tokenreviews).create({ metadata: { name: '' }, spec: { token: caller.bearerToken } })
    return status?.authenticated === true ? { user: status.user?.username ?? '', groups: status.user?.groups ?? [] } : undefined
  }

  return async (caller, access) => {
    if (caller.user === 'kube-apiserver') return 'allow'
    const key = JSON.stringify([caller, access.verb, access.subresource])
    const known = remembered.get(key)
    if (known !== undefined && known.until > now()) return known.decision
    const identity = await identify(caller)
    if (identity === undefined) return 'unauthenticated'
    const { status } = await client.resource(subjectaccessreviews).create({
      metadata: { name: '' },
      spec: {
        user: identity.user,
        groups: [...identity.groups],
        resourceAttributes: {
          verb: access.verb,
          group: '',
          version: 'v1',
          resource: 'nodes',
          subresource: access.subresource,
          name: nodeName,
        },
      },
    })
    const decision = status?.allowed === true ? 'allow' : 'deny'
    if (remembered.size >= maxRemembered) remembered.clear()
    remembered.set(key, { decision, until: now() + (decision === 'allow' ? allowedMs : deniedMs) })
    return decision
  }
}
