import type { TokenRequest } from '@k3s/api/types/authentication/v1'
import { serviceaccounts, type Pod } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import type { Clock } from '@k3s/lifecycle'
import { podUid } from '../pods/pod-facts.ts'

interface Cached {
  readonly token: string
  readonly refreshAtMs: number
  readonly expiresAtMs: number
}

const dayMs = 86_400_000

/** Service account tokens bound to pods: asked for once, renewed after 80 % of their life or a day. */
export class TokenSource {
  readonly #client: Client
  readonly #clock: Clock
  readonly #cache = new Map<string, Cached>()

  constructor(client: Client, clock: Clock) {
    this.#client = client
    this.#clock = clock
  }

  /** Falls back to the old token, while it is valid, when a new one cannot be had. */
  async get(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<string> {
    const key = `${podUid(pod)}/${audience ?? ''}/${expirationSeconds}`
    const cached = this.#cache.get(key)
    const now = this.#clock.now()
    if (cached !== undefined && now < cached.refreshAtMs) return cached.token
    try {
      const fresh = await this.#request(pod, audience, expirationSeconds, now)
      this.#cache.set(key, fresh)
      return fresh.token
    } catch (error) {
      if (cached !== undefined && now < cached.expiresAtMs) return cached.token
      const { namespace = '', name } = pod.metadata
      throw new Error(`failed to fetch token for pod "${namespace}/${name}": ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      })
    }
  }

  forget(uid: string): void {
    for (const key of this.#cache.keys()) if (key.startsWith(`${uid}/`)) this.#cache.delete(key)
  }

  async #request(pod: Pod, audience: string | undefined, expirationSeconds: number, now: number): Promise<Cached> {
    const account =
      pod.spec.serviceAccountName === undefined || pod.spec.serviceAccountName === '' ? 'default' : pod.spec.serviceAccountName
    const body: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: { name: '' },
      spec: {
        audiences: audience === undefined || audience === '' ? [] : [audience],
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: podUid(pod) },
      },
    }
    const answer = await this.#client
      .resource(serviceaccounts)
      .createSubresource(account, 'token', body, { namespace: pod.metadata.namespace })
    const { token = '', expirationTimestamp } = answer.status ?? {}
    const expiresAtMs = Date.parse(expirationTimestamp ?? '') || now + expirationSeconds * 1000
    return { token, expiresAtMs, refreshAtMs: now + Math.min((expiresAtMs - now) * 0.8, dayMs) }
  }
}
