import { StatusError } from '@k3s/api'
import type { UserInfo } from '../auth/auth.ts'
import type { RequestInfo } from '../http/request-info.ts'
import { isReading, isStream } from './flow-control.ts'

/** Most requests at once; 0 is no limit. */
export interface InFlightLimits {
  readonly maxReads: number
  readonly maxWrites: number
}

/** Turns requests away when too many are worked on: what upstream does where priority and fairness are switched off. Watches and streams do not count. */
export class MaxInFlight {
  readonly #limits: InFlightLimits
  readonly #now = { reads: 0, writes: 0 }
  readonly #most = { reads: 0, writes: 0 }

  constructor({ maxReads, maxWrites }: InFlightLimits) {
    this.#limits = { maxReads: maxReads || Infinity, maxWrites: maxWrites || Infinity }
  }

  /** Most requests that ran at once since the last call. */
  takeMost(): { readonly reads: number; readonly writes: number } {
    const { reads, writes } = this.#most
    Object.assign(this.#most, this.#now)
    return { reads, writes }
  }

  /** Lets a request in; the result gives its place back and may be called more than once. Throws TooManyRequests, but not for `system:masters`. */
  admit(info: RequestInfo, user: UserInfo): () => void {
    if (info.verb === 'watch' || isStream(info)) return () => {}
    const kind = isReading(info) ? 'reads' : 'writes'
    if (this.#now[kind] >= this.#limits[kind === 'reads' ? 'maxReads' : 'maxWrites']) {
      if (user.groups.includes('system:masters')) return () => {}
      throw new StatusError('TooManyRequests', 'Too many requests, please try again later.', { retryAfterSeconds: 1 })
    }
    this.#most[kind] = Math.max(this.#most[kind], ++this.#now[kind])
    let isOut = false
    return () => {
      if (!isOut) this.#now[kind]--
      isOut = true
    }
  }
}
