import { createHash } from 'node:crypto'
import { StatusError } from '@k3s/api'
import { systemClock, type Clock } from '@k3s/lifecycle'
import { isObject } from '../../json.ts'
import { isPassing, withRetries, type RemoteHook } from '../../remote-hooks/remote-hook.ts'
import type { UserInfo } from '../auth.ts'
import type { TokenAuthenticator, TokenIdentity } from './token-authenticator.ts'

export interface TokenWebhookOptions {
  /** Stays the caller's. */
  readonly hook: RemoteHook
  /** Of the TokenReviews that are sent; default `v1beta1`, as upstream. */
  readonly version?: 'v1' | 'v1beta1' | undefined
  /** Milliseconds that an answer is believed, yes or no; 0: asked every time. Default two minutes. */
  readonly cacheTtlMs?: number | undefined
  /** Audiences of the API server: what a webhook that names none vouches for. */
  readonly audiences: readonly string[]
  readonly clock?: Clock | undefined
  readonly random?: (() => number) | undefined
}

const defaultCacheTtlMs = 2 * 60_000
// Half a second, growing: upstream's default of --authentication-token-webhook-retry-backoff.
const initialBackoffMs = 500
// Upstream's bound on its cache.
const maxRemembered = 4096

interface Answered {
  readonly until: number
  readonly identity: TokenIdentity | undefined
  readonly refusal: string
}

/** Asks a server by TokenReview whom bearer tokens stand for. A server that cannot be asked makes a token that nobody else knows Unauthorized. */
export function tokenWebhook(options: TokenWebhookOptions): TokenAuthenticator {
  const { hook, version = 'v1beta1', cacheTtlMs = defaultCacheTtlMs, clock = systemClock, random = Math.random } = options
  const known = new Map<string, Answered>()
  const running = new Map<string, Promise<Answered>>()

  async function ask(token: string, wanted: readonly string[]): Promise<Answered> {
    const review = {
      kind: 'TokenReview',
      apiVersion: `authentication.k8s.io/${version}`,
      metadata: {},
      spec: { token, audiences: wanted },
      status: { user: {} },
    }
    const answer = await withRetries(() => hook.post(review), {
      initialDelayMs: initialBackoffMs,
      clock,
      random,
      shouldRetry: isPassing,
      signal: neverAborts,
    })
    const status = isObject(answer) && isObject(answer['status']) ? answer['status'] : {}
    const named = textsOf(status['audiences'])
    const shared = wanted.filter((audience) => (named.length > 0 ? named : options.audiences).includes(audience))
    const isKnown = status['authenticated'] === true && (wanted.length === 0 || shared.length > 0)
    const user = isKnown ? userOf(status['user']) : undefined
    return {
      until: clock.monotonic() + cacheTtlMs,
      identity: user === undefined ? undefined : { user, audiences: shared },
      refusal: isKnown || typeof status['error'] !== 'string' ? '' : status['error'],
    }
  }

  async function answerFor(token: string, wanted: readonly string[]): Promise<Answered> {
    const key = keyOf(token, wanted)
    const found = known.get(key)
    if (found !== undefined && clock.monotonic() < found.until) return found
    let asked = running.get(key)
    if (asked === undefined) {
      asked = ask(token, wanted).finally(() => running.delete(key))
      running.set(key, asked)
    }
    const answered = await asked
    // As upstream, what a webhook says of an error is not remembered.
    if (cacheTtlMs > 0 && answered.refusal === '') {
      if (known.size >= maxRemembered) known.clear()
      known.set(key, answered)
    }
    return answered
  }

  return {
    name: 'Webhook',
    async authenticateToken(token, audiences) {
      let answered: Answered
      try {
        answered = await answerFor(token, audiences ?? options.audiences)
      } catch (cause) {
        throw new StatusError('Unauthorized', cause instanceof Error ? cause.message : String(cause), { cause })
      }
      if (answered.refusal !== '') throw new StatusError('Unauthorized', answered.refusal)
      return answered.identity
    },
  }
}

// A lookup may be shared: no caller's leaving ends it.
const neverAborts = new AbortController().signal

/** Neither a token nor what it is asked for is kept in memory. */
function keyOf(token: string, audiences: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([token, audiences]))
    .digest('base64')
}

const textsOf = (value: unknown): string[] => (Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [])

/** Undefined for a user without a name, whom upstream would let in as nobody. */
function userOf(value: unknown): UserInfo | undefined {
  if (!isObject(value) || typeof value['username'] !== 'string' || value['username'] === '') return undefined
  const { username, uid, groups, extra } = value
  return {
    name: username,
    ...(typeof uid === 'string' && uid !== '' ? { uid } : {}),
    groups: textsOf(groups),
    ...(isObject(extra) ? { extra: Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, textsOf(values)])) } : {}),
  }
}
