import type { KubernetesObject } from '@k3s/api'
import type { Event as CoreEvent } from '@k3s/api/types/core/v1'
import type { Event } from '@k3s/api/types/events/v1'
import type { VersionConversion } from '../served-resource.ts'

/** The events of both groups are the same objects: some fields have other names. Objects of these resources are Events of their version. */
export const eventsK8sIo: VersionConversion = {
  toStored(object) {
    const {
      regarding,
      note,
      deprecatedSource,
      deprecatedFirstTimestamp,
      deprecatedLastTimestamp,
      deprecatedCount,
      reportingController,
      ...same
    } = object as KubernetesObject & Event
    const stored: CoreEvent = {
      ...same,
      apiVersion: 'v1',
      involvedObject: regarding ?? {},
      message: note,
      source: deprecatedSource,
      firstTimestamp: deprecatedFirstTimestamp,
      lastTimestamp: deprecatedLastTimestamp,
      count: deprecatedCount,
      reportingComponent: reportingController,
    }
    return stored
  },
  fromStored(object) {
    const { involvedObject, message, source, firstTimestamp, lastTimestamp, count, reportingComponent, reportingInstance, ...same } =
      object as KubernetesObject & CoreEvent
    const served: Omit<Event, 'eventTime' | 'series'> & Pick<CoreEvent, 'eventTime' | 'series'> = {
      ...same,
      apiVersion: 'events.k8s.io/v1',
      regarding: involvedObject,
      note: message,
      deprecatedSource: source,
      deprecatedFirstTimestamp: firstTimestamp,
      deprecatedLastTimestamp: lastTimestamp,
      deprecatedCount: count,
      // Left out when empty, unlike in the version that is stored.
      reportingController: reportingComponent || undefined,
      reportingInstance: reportingInstance || undefined,
    }
    return served
  },
  fieldLabels: {
    reason: 'reason',
    'regarding.kind': 'involvedObject.kind',
    'regarding.namespace': 'involvedObject.namespace',
    'regarding.name': 'involvedObject.name',
    'regarding.uid': 'involvedObject.uid',
    'regarding.apiVersion': 'involvedObject.apiVersion',
    'regarding.resourceVersion': 'involvedObject.resourceVersion',
    'regarding.fieldPath': 'involvedObject.fieldPath',
    reportingController: 'reportingComponent',
    type: 'type',
  },
}
