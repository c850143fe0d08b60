import { invariant } from '@k3s/lifecycle'

/** A part of the start that is done once, by the name of upstream's hook that does the same there. */
export type StartCheck = string

/** Of a server that has everything, in upstream's order. */
const order: readonly StartCheck[] = [
  'start-apiserver-admission-initializer',
  'generic-apiserver-start-informers',
  'priority-and-fairness-config-consumer',
  'priority-and-fairness-filter',
  'max-in-flight-filter',
  'storage-object-count-tracker-hook',
  'start-apiextensions-informers',
  'start-apiextensions-controllers',
  'crd-informer-synced',
  'start-system-namespaces-controller',
  'start-cluster-authentication-info-controller',
  'storage-readiness',
  'start-legacy-token-tracking-controller',
  'rbac/bootstrap-roles',
  'scheduling/bootstrap-system-priority-classes',
  'priority-and-fairness-config-producer',
  'bootstrap-controller',
  'start-kubernetes-service-cidr-controller',
  'aggregator-reload-proxy-client-cert',
  'start-kube-aggregator-informers',
  'apiservice-status-local-available-controller',
  'apiservice-status-remote-available-controller',
  'apiservice-registration-controller',
  'apiservice-discovery-controller',
  'kube-apiserver-autoregistration',
  'autoregister-completion',
  'apiservice-openapi-controller',
  'apiservice-openapiv3-controller',
]

/** What of the start is still to be done. */
export class StartChecks {
  readonly #done = new Map<StartCheck, boolean>()

  /** `wanted` are the parts that this server has. */
  constructor(wanted: Iterable<StartCheck>) {
    const names = new Set(wanted)
    for (const name of order) if (names.delete(name)) this.#done.set(name, false)
    for (const name of names) this.#done.set(name, false)
  }

  /** In upstream's order. */
  get names(): readonly StartCheck[] {
    return [...this.#done.keys()]
  }

  /** May be called more than once. */
  finish(...names: readonly StartCheck[]): void {
    for (const name of names) {
      invariant(this.#done.has(name), `the server starts without "${name}"`)
      this.#done.set(name, true)
    }
  }

  isDone(name: StartCheck): boolean {
    return this.#done.get(name) === true
  }
}
