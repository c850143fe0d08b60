import { type Event, events } from '@k3s/api/types/core/v1'
import { append } from '@k3s/lifecycle'
import { invalidValue, required } from '../../validation/field-error.ts'
import type { FieldError, RequestScope, ResourceStrategy } from '../../registry/strategy.ts'
import { age, column } from '../shared/columns.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { immutable, invalids } from '../../validation/fields.ts'
import { validateObjectMeta } from '../../validation/object-meta.ts'
import { pathSegment, qualifiedName } from '../../validation/names.ts'

/** Longest values of events that have an eventTime, characters. */
const limits = { reportingInstance: 128, action: 128, reason: 128, message: 1024 } as const

function validate(event: Event, scope: RequestScope): FieldError[] {
  const reporterField = isStrict(scope) ? 'reportingController' : 'reportingComponent'
  const namespace = event.metadata.namespace ?? ''
  const about = event.involvedObject.namespace ?? ''
  const mismatch = [invalidValue('involvedObject.namespace', about, 'does not match event.namespace')]
  if (!event.eventTime) {
    const isFine = about === '' ? namespace === '' || namespace === 'default' : namespace === about
    return isFine ? [] : mismatch
  }
  const errors: FieldError[] = about === '' && namespace !== 'default' && namespace !== 'kube-system' ? mismatch : []
  const reporter = event.reportingComponent ?? ''
  if (reporter === '') errors.push(required(reporterField))
  append(errors, invalids(reporterField, reporter, qualifiedName(reporter)))
  for (const name of ['reportingInstance', 'action', 'reason'] as const) {
    const value = event[name] ?? ''
    if (value === '') errors.push(required(name))
    if (Buffer.byteLength(value) > limits[name]) errors.push(invalidValue(name, '', `can have at most ${limits[name]} characters`))
  }
  if (Buffer.byteLength(event.message ?? '') > limits.message)
    errors.push(invalidValue('message', '', `can have at most ${limits.message} characters`))
  return errors
}

/** What is written by way of `events.k8s.io` must be as new events are. */
const isStrict = ({ requested }: RequestScope): boolean => requested?.group === 'events.k8s.io'

function validateSeries({ series }: Event): FieldError[] {
  if (series === undefined) return []
  return [
    ...((series.count ?? 0) < 2 ? [invalidValue('series.count', '', 'should be at least 2')] : []),
    ...(series.lastObservedTime ? [] : [required('series.lastObservedTime')]),
  ]
}

function validateNew(event: Event, scope: RequestScope): FieldError[] {
  if (!isStrict(scope)) return []
  const { metadata } = event
  const errors = [...validateObjectMeta(metadata, { namespaced: true }), ...validateSeries(event)]
  if (!event.eventTime) errors.push(required('eventTime'))
  if (event.type !== 'Normal' && event.type !== 'Warning') errors.push(invalidValue('type', '', `has invalid value: ${event.type ?? ''}`))
  for (const name of ['firstTimestamp', 'lastTimestamp', 'count'] as const)
    if (event[name]) errors.push(invalidValue(name, '', 'needs to be unset'))
  if (event.source?.component || event.source?.host) errors.push(invalidValue('source', '', 'needs to be unset'))
  return errors
}

const fixedFields = [
  'involvedObject',
  'reason',
  'message',
  'source',
  'firstTimestamp',
  'lastTimestamp',
  'count',
  'reason',
  'type',
  'eventTime',
  'action',
  'related',
  'reportingComponent',
  'reportingInstance',
] as const

function validateChange(event: Event, previous: Event, scope: RequestScope): FieldError[] {
  if (!isStrict(scope)) return []
  return [
    ...(semanticEqual(event.series, previous.series) ? [] : validateSeries(event)),
    ...fixedFields.flatMap((name) => immutable(name === 'reportingComponent' ? 'reportingController' : name, event[name], previous[name])),
  ]
}

const firstSeen = (event: Event, nowMs: number): string => age(event.firstTimestamp || event.eventTime, nowMs)

function lastSeen(event: Event, nowMs: number): string {
  if (event.series !== undefined) return age(event.series.lastObservedTime, nowMs)
  return event.lastTimestamp ? age(event.lastTimestamp, nowMs) : firstSeen(event, nowMs)
}

function objectText({ involvedObject }: Event): string {
  const kind = (involvedObject.kind ?? '').toLowerCase()
  return involvedObject.name ? `${kind}/${involvedObject.name}` : kind
}

function sourceText(event: Event): string {
  const component = event.source?.component || event.reportingComponent || ''
  const instance = event.source?.host || event.reportingInstance || ''
  return instance === '' ? component : `${component}, ${instance}`
}

const field =
  (read: (event: Event) => string | undefined) =>
  (event: Event): string =>
    read(event) ?? ''

/** Rules for events. */
export const eventStrategy: ResourceStrategy<Event> = {
  type: events,
  validateName: pathSegment,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  defaults(event) {
    event.source ??= {}
    event.reportingComponent ??= ''
    event.reportingInstance ??= ''
  },
  validate,
  validateCreate: validateNew,
  update: { validate: validateChange },
  selectableFields: {
    'involvedObject.kind': field((event) => event.involvedObject.kind),
    'involvedObject.namespace': field((event) => event.involvedObject.namespace),
    'involvedObject.name': field((event) => event.involvedObject.name),
    'involvedObject.uid': field((event) => event.involvedObject.uid),
    'involvedObject.apiVersion': field((event) => event.involvedObject.apiVersion),
    'involvedObject.resourceVersion': field((event) => event.involvedObject.resourceVersion),
    'involvedObject.fieldPath': field((event) => event.involvedObject.fieldPath),
    reason: field((event) => event.reason),
    reportingComponent: field((event) => event.reportingComponent),
    source: field((event) => event.source?.component || event.reportingComponent),
    type: field((event) => event.type),
  },
  columns: [
    column('Last Seen', (event, { nowMs }) => lastSeen(event, nowMs)),
    column('Type', (event) => event.type ?? ''),
    column('Reason', (event) => event.reason ?? ''),
    column('Object', objectText),
    column('Subobject', (event) => event.involvedObject.fieldPath ?? '', { wide: true }),
    column('Source', sourceText, { wide: true }),
    column('Message', (event) => (event.message ?? '').trim()),
    column('First Seen', (event, { nowMs }) => firstSeen(event, nowMs), { wide: true }),
    column('Count', (event) => event.series?.count ?? (event.count || 1), { wide: true }),
    column('Name', (event) => event.metadata.name, { wide: true, format: 'name' }),
  ],
}
