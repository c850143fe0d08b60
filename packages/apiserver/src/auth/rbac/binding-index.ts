import type { RoleRef, Subject } from '@k3s/api/types/rbac/v1'
import type { UserInfo } from '../auth.ts'

/** What cluster role bindings and role bindings have in common. Objects are frozen: a change is another object. */
export interface Binding {
  readonly metadata: { readonly name: string; readonly namespace?: string | undefined }
  readonly roleRef: RoleRef
  readonly subjects?: readonly Subject[] | undefined
}

function subjectKeys(binding: Binding): string[] {
  return (binding.subjects ?? []).map((subject) => {
    if (subject.kind === 'Group') return `g ${subject.name}`
    if (subject.kind !== 'ServiceAccount') return `u ${subject.name}`
    return `u system:serviceaccount:${subject.namespace || (binding.metadata.namespace ?? '')}:${subject.name}`
  })
}

/** The bindings of a list by their subjects. Follows the list by comparing identities: only what changed is indexed again. */
export class BindingIndex<B extends Binding> {
  readonly #known = new Set<B>()
  #list: readonly B[] | undefined
  readonly #bySubject = new Map<string, Set<B>>()

  /** Brings the index to the present list. Costs nothing for the same list, one set look-up a binding for another one. */
  follow(list: readonly B[]): void {
    if (list === this.#list) return
    this.#list = list
    for (const binding of list) if (!this.#known.has(binding)) this.#add(binding)
    if (list.length === this.#known.size) return
    const present = new Set(list)
    for (const binding of this.#known) if (!present.has(binding)) this.#remove(binding)
  }

  /** Bindings that name the user or one of its groups. */
  *of(user: UserInfo): Generator<B> {
    const seen = new Set<B>()
    for (const key of [`u ${user.name}`, ...user.groups.map((group) => `g ${group}`)]) {
      for (const binding of this.#bySubject.get(key) ?? []) {
        if (seen.has(binding)) continue
        seen.add(binding)
        yield binding
      }
    }
  }

  #add(binding: B): void {
    this.#known.add(binding)
    for (const key of subjectKeys(binding)) {
      const bindings = this.#bySubject.get(key)
      if (bindings === undefined) this.#bySubject.set(key, new Set([binding]))
      else bindings.add(binding)
    }
  }

  #remove(binding: B): void {
    this.#known.delete(binding)
    for (const key of subjectKeys(binding)) {
      const bindings = this.#bySubject.get(key)
      bindings?.delete(binding)
      if (bindings?.size === 0) this.#bySubject.delete(key)
    }
  }
}
