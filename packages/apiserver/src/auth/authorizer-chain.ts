import type { PolicyRule } from '@k3s/api/types/rbac/v1'
import { append } from '@k3s/lifecycle'
import type { AccessAttributes, Authorizer, Decision, UserInfo } from './auth.ts'
import { allowingAuthorizer, decide, mastersAuthorizer, refusingAuthorizer } from './authorizers.ts'
import type { NodeAuthorizer } from './node/node-authorizer.ts'
import { nodeOf } from './node/node-identity.ts'
import type { RbacAuthorizer } from './rbac/rbac-authorizer.ts'
import type { AuthorizerMode } from './webhook/configuration.ts'

/** Who decides, in order: one of the server's own by its mode, or another. */
export type ChosenAuthorizers = readonly (AuthorizerMode | Authorizer)[]

/** What a user may do, as far as that can be listed. */
export interface ListedRules {
  readonly rules: readonly PolicyRule[]
  readonly errors: readonly string[]
  /** There may be more that they may do. */
  readonly isIncomplete: boolean
}

/** Lists what users may do in a namespace. */
export interface RuleLister {
  rulesFor(user: UserInfo, namespace: string): ListedRules
}

interface OwnAuthorizers {
  readonly node: NodeAuthorizer
  readonly rbac: RbacAuthorizer
}

/** Asks whom the cluster has chosen, after the masters. */
export class AuthorizerChain implements Authorizer, RuleLister {
  readonly name = 'Union'
  readonly #own: Readonly<Record<AuthorizerMode, Authorizer>>
  readonly #rbac: RbacAuthorizer
  readonly #choose: () => ChosenAuthorizers
  #chosen: ChosenAuthorizers = []
  #authorizers: readonly Authorizer[] = []

  /** `choose` is asked at each request. */
  constructor({ node, rbac }: OwnAuthorizers, choose: () => ChosenAuthorizers) {
    this.#own = { Node: node, RBAC: rbac, AlwaysAllow: allowingAuthorizer, AlwaysDeny: refusingAuthorizer }
    this.#rbac = rbac
    this.#choose = choose
  }

  authorize(attributes: AccessAttributes, signal?: AbortSignal): Decision | Promise<Decision> {
    return decide(this.#current(), attributes, signal)
  }

  rulesFor(user: UserInfo, namespace: string): ListedRules {
    const rules: PolicyRule[] = []
    const errors: string[] = []
    let isIncomplete = false
    for (const authorizer of this.#current()) {
      const listed = this.#rulesOf(authorizer, user, namespace)
      append(rules, listed.rules)
      append(errors, listed.errors)
      isIncomplete ||= listed.isIncomplete
    }
    return { rules, errors, isIncomplete }
  }

  #rulesOf(authorizer: Authorizer, user: UserInfo, namespace: string): ListedRules {
    switch (authorizer) {
      case mastersAuthorizer:
      case refusingAuthorizer:
        return nothing
      case allowingAuthorizer:
        return { ...nothing, rules: everything }
      case this.#own.Node:
        return nodeOf(user) === undefined ? nothing : unlisted('node')
      case this.#rbac:
        return { ...this.#rbac.rulesFor(user, namespace), isIncomplete: false }
      default:
        return unlisted('webhook')
    }
  }

  #current(): readonly Authorizer[] {
    const chosen = this.#choose()
    if (chosen !== this.#chosen) {
      this.#chosen = chosen
      this.#authorizers = [mastersAuthorizer, ...chosen.map((one) => (typeof one === 'string' ? this.#own[one] : one))]
    }
    return this.#authorizers
  }
}

const nothing: ListedRules = { rules: [], errors: [], isIncomplete: false }
const unlisted = (name: string): ListedRules => ({
  rules: [],
  errors: [`${name} authorizer does not support user rule resolution`],
  isIncomplete: true,
})
const everything: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
]
