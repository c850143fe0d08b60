import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { RequestScope } from '../registry/strategy.ts'

/** A request as admission sees it. */
export interface AdmissionRequest {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'
  readonly type: ResourceType
  /** Empty for the object itself. */
  readonly subresource: string
  readonly namespace: string
  /** Empty for creates with generateName. */
  readonly name: string
  /** Of CREATE and UPDATE: a private copy, which `admit` may change in place. */
  readonly object: KubernetesObject | undefined
  /** Of UPDATE and DELETE: frozen. */
  readonly oldObject: KubernetesObject | undefined
  readonly scope: RequestScope
}

/** Built-in admission. Both throw a StatusError (usually `Forbidden`) to refuse. */
export interface AdmissionPlugin {
  readonly name: string
  admit?(request: AdmissionRequest): Promise<void> | void
  validate?(request: AdmissionRequest): Promise<void> | void
}
