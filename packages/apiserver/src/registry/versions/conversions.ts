import type { ResourceType } from '@k3s/api'
import { horizontalpodautoscalers as autoscalersV2 } from '@k3s/api/types/autoscaling/v2'
import { events as coreEvents } from '@k3s/api/types/core/v1'
import type { VersionConversion } from '../served-resource.ts'
import { autoscalerV1 } from './autoscaler-v1.ts'
import { eventsK8sIo } from './events-k8s-io.ts'

/** Built-in resources that are served in a version in which they are not stored. Keys are `group/version/resource`. */
export const versionConversions: ReadonlyMap<string, { readonly storedAs: ResourceType; readonly convert: VersionConversion }> = new Map([
  ['events.k8s.io/v1/events', { storedAs: coreEvents, convert: eventsK8sIo }],
  ['autoscaling/v1/horizontalpodautoscalers', { storedAs: autoscalersV2, convert: autoscalerV1 }],
])
