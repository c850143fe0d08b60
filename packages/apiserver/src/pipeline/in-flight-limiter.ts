import { StatusError } from '@k3s/api'
import type { UserInfo } from '../auth/auth.ts'
import type { RequestInfo } from '../http/request-info.ts'

export interface InFlightLimits {
  /** Requests that only read, watches and connects set aside. */
  readonly maxReads: number
  readonly maxWrites: number
}

// kube-apiserver's --max-requests-inflight and --max-mutating-requests-inflight.
export const defaultInFlightLimits: InFlightLimits = { maxReads: 400, maxWrites: 200 }

const longRunning = new Set(['log', 'exec', 'attach', 'portforward', 'proxy'])
const reading = new Set(['get', 'list'])

/** Bounds the requests that are worked on at once. Privileged users and requests without an end do not count. */
export class InFlightLimiter {
  readonly #limits: InFlightLimits
  #reads = 0
  #writes = 0

  constructor(limits: InFlightLimits = defaultInFlightLimits) {
    this.#limits = limits
  }

  get inFlight(): { readonly reads: number; readonly writes: number } {
    return { reads: this.#reads, writes: this.#writes }
  }

  /** Counts a request in; the result counts it out. Throws TooManyRequests when there are too many. */
  enter(info: RequestInfo, user: UserInfo): () => void {
    if (info.verb === 'watch' || longRunning.has(info.subresource) || user.groups.includes('system:masters')) return () => {}
    const isRead = reading.has(info.verb)
    if (isRead ? this.#reads >= this.#limits.maxReads : this.#writes >= this.#limits.maxWrites)
      throw new StatusError('TooManyRequests', 'Too many requests, please try again later.', { retryAfterSeconds: 1 })
    if (isRead) this.#reads++
    else this.#writes++
    let isOut = false
    return () => {
      if (isOut) return
      isOut = true
      if (isRead) this.#reads--
      else this.#writes--
    }
  }
}
