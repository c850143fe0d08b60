import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { MatchResources, ParamKind, ParamRef } from '@k3s/api/types/admissionregistration/v1'
import type { ObjectReader } from '../../registry/strategy.ts'

/** What policies of both kinds have in common. */
export interface Policy extends KubernetesObject {
  readonly spec: {
    readonly paramKind?: ParamKind | undefined
    readonly matchConstraints?: MatchResources | undefined
    readonly failurePolicy?: string | undefined
  }
}

/** What bindings of both kinds have in common. */
export interface Binding extends KubernetesObject {
  readonly spec: {
    readonly policyName?: string | undefined
    readonly paramRef?: ParamRef | undefined
    readonly matchResources?: MatchResources | undefined
  }
}

/** A policy with its bindings. */
export interface BoundPolicy<P, B, C> {
  readonly policy: P
  readonly bindings: readonly B[]
  /** Compiled when it is first needed, and as long as the policy does not change. */
  readonly compiled: () => Promise<C>
}

const byName = (a: KubernetesObject, b: KubernetesObject): number => (a.metadata.name < b.metadata.name ? -1 : 1)

/** Reads policies and bindings from the server's own cache. A policy without a binding does nothing. */
export class PolicySource<P extends Policy, B extends Binding, C> {
  readonly #policies: ResourceType<P>
  readonly #bindings: ResourceType<B>
  readonly #compile: (policy: P) => Promise<C>
  readonly #compiled = new WeakMap<P, Promise<C>>()
  // Held here, so that the reader goes on to answer with the same lists.
  #known: { readonly bindings: readonly B[]; readonly policies: readonly P[]; readonly bound: readonly BoundPolicy<P, B, C>[] } | undefined

  constructor(types: { readonly policies: ResourceType<P>; readonly bindings: ResourceType<B> }, compile: (policy: P) => Promise<C>) {
    this.#policies = types.policies
    this.#bindings = types.bindings
    this.#compile = compile
  }

  /** Bound policies by name, and their bindings by name. */
  bound(objects: ObjectReader): readonly BoundPolicy<P, B, C>[] {
    const bindings = objects.list(this.#bindings)
    if (bindings.length === 0) return []
    const policies = objects.list(this.#policies)
    const known = this.#known
    if (known?.bindings === bindings && known.policies === policies) return known.bound
    const bound = policies.toSorted(byName).flatMap((policy) => {
      const own = bindings.filter(({ spec }) => spec.policyName === policy.metadata.name).toSorted(byName)
      return own.length === 0 ? [] : [{ policy, bindings: own, compiled: () => this.#compiledOf(policy) }]
    })
    this.#known = { bindings, policies, bound }
    return bound
  }

  #compiledOf(policy: P): Promise<C> {
    let compiled = this.#compiled.get(policy)
    if (compiled === undefined) this.#compiled.set(policy, (compiled = this.#compile(policy)))
    return compiled
  }
}
