import type {
  CrossVersionObjectReference,
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerSpec,
  HPAScalingRules,
  MetricIdentifier,
  MetricSpec,
  MetricStatus,
  MetricTarget,
} from '@k3s/api/types/autoscaling/v2'
import { quantityNanos } from '@k3s/api'
import { append } from '@k3s/lifecycle'
import { forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids } from '../../validation/fields.ts'
import { dns1123Label, pathSegment } from '../../validation/names.ts'
import { validateContainerResourceName } from '../shared/resource-validation.ts'

const maxWindowSeconds = 3600
const maxPeriodSeconds = 1800
const sourceNames = {
  Object: 'object',
  External: 'external',
  Pods: 'pods',
  Resource: 'resource',
  ContainerResource: 'containerResource',
} as const
const sourceTypes = Object.keys(sourceNames).toSorted()

function validateReference({ apiVersion = '', kind, name }: CrossVersionObjectReference, field: string, allowsCore: boolean): FieldError[] {
  const errors: FieldError[] = []
  append(errors, kind ? invalids(`${field}.kind`, kind, pathSegment(kind)) : [required(`${field}.kind`)])
  append(errors, name ? invalids(`${field}.name`, name, pathSegment(name)) : [required(`${field}.name`)])
  return [...errors, ...validateVersion(apiVersion, `${field}.apiVersion`, allowsCore)]
}

function validateVersion(apiVersion: string, field: string, allowsCore: boolean): FieldError[] {
  const parts = apiVersion.split('/')
  const errors: FieldError[] = []
  if (parts.length > 2) errors.push(invalidValue(field, apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
  else if (!allowsCore && parts.length < 2) errors.push(invalidValue(field, apiVersion, 'apiVersion must specify API group'))
  return errors
}

/** What is scaled is named by its group, as soon as it is named anew. */
export function validateTargetVersion(
  { scaleTargetRef: now }: HorizontalPodAutoscalerSpec,
  previous?: HorizontalPodAutoscalerSpec,
): FieldError[] {
  const then = previous?.scaleTargetRef
  if (then !== undefined && then.apiVersion === now.apiVersion && then.kind === now.kind) return []
  return validateVersion(now.apiVersion ?? '', 'spec.scaleTargetRef.apiVersion', now.kind === 'ReplicationController')
}

function validateIdentifier({ name }: MetricIdentifier, field: string): FieldError[] {
  return name ? invalids(`${field}.name`, name, pathSegment(name)) : [required(`${field}.name`, 'must specify a metric name')]
}

const isPositive = (amount: string): boolean => quantityNanos(amount) > 0n

function validateTarget({ type, value, averageValue, averageUtilization }: MetricTarget, field: string): FieldError[] {
  const errors: FieldError[] = []
  if (!type) errors.push(required(`${field}.type`, 'must specify a metric target type'))
  if (!['Utilization', 'Value', 'AverageValue'].includes(type)) {
    errors.push(invalidValue(`${field}.type`, type, 'must be either Utilization, Value, or AverageValue'))
  }
  if (value !== undefined && !isPositive(value)) errors.push(invalidValue(`${field}.value`, value, 'must be positive'))
  if (averageValue !== undefined && !isPositive(averageValue))
    errors.push(invalidValue(`${field}.averageValue`, averageValue, 'must be positive'))
  if (averageUtilization !== undefined && averageUtilization < 1) {
    errors.push(invalidValue(`${field}.averageUtilization`, averageUtilization, 'must be greater than 0'))
  }
  return errors
}

/** A target that is a share of what pods request, or an amount. */
function validateResourceTarget(target: MetricTarget, field: string): FieldError[] {
  const errors = validateTarget(target, field)
  const { averageUtilization, averageValue } = target
  if (averageUtilization === undefined && averageValue === undefined) {
    errors.push(required(`${field}.averageUtilization`, 'must set either a target raw value or a target utilization'))
  }
  if (averageUtilization !== undefined && averageValue !== undefined) {
    errors.push(forbiddenField(`${field}.averageValue`, 'may not set both a target raw value and a target utilization'))
  }
  return errors
}

type SourceName = (typeof sourceNames)[keyof typeof sourceNames]

function validateSource(metric: MetricSpec, name: SourceName, field: string): FieldError[] {
  const target = `${field}.target`
  switch (name) {
    case 'object': {
      if (metric.object === undefined) return []
      const errors = [
        ...validateReference(metric.object.describedObject, `${field}.describedObject`, true),
        ...validateIdentifier(metric.object.metric, `${field}.metric`),
        ...validateTarget(metric.object.target, target),
      ]
      const { value, averageValue } = metric.object.target
      if (value === undefined && averageValue === undefined)
        errors.push(required(`${target}.averageValue`, 'must set either a target value or averageValue'))
      return errors
    }
    case 'external': {
      if (metric.external === undefined) return []
      const errors = [...validateIdentifier(metric.external.metric, `${field}.metric`), ...validateTarget(metric.external.target, target)]
      const { value, averageValue } = metric.external.target
      if (value === undefined && averageValue === undefined) {
        errors.push(required(`${target}.averageValue`, 'must set either a target value for metric or a per-pod target'))
      }
      if (value !== undefined && averageValue !== undefined) {
        errors.push(forbiddenField(`${target}.value`, 'may not set both a target value for metric and a per-pod target'))
      }
      return errors
    }
    case 'pods': {
      if (metric.pods === undefined) return []
      const errors = [...validateIdentifier(metric.pods.metric, `${field}.metric`), ...validateTarget(metric.pods.target, target)]
      if (metric.pods.target.averageValue === undefined)
        errors.push(required(`${target}.averageValue`, 'must specify a positive target averageValue'))
      return errors
    }
    case 'resource': {
      if (metric.resource === undefined) return []
      return [
        ...(metric.resource.name ? [] : [required(`${field}.name`, 'must specify a resource name')]),
        ...validateResourceTarget(metric.resource.target, target),
      ]
    }
    case 'containerResource': {
      if (metric.containerResource === undefined) return []
      const { name: resource, container } = metric.containerResource
      return [
        ...(resource
          ? validateContainerResourceName(resource, `${field}.name`)
          : [required(`${field}.name`, 'must specify a resource name')]),
        ...(container
          ? invalids(`${field}.container`, container, dns1123Label(container))
          : [required(`${field}.container`, 'must specify a container')]),
        ...validateResourceTarget(metric.containerResource.target, target),
      ]
    }
  }
}

const isSourceType = (type: string): type is keyof typeof sourceNames => Object.hasOwn(sourceNames, type)

function validateMetric(metric: MetricSpec, field: string): FieldError[] {
  const errors: FieldError[] = []
  const { type } = metric
  if (!type) errors.push(required(`${field}.type`, 'must specify a metric source type'))
  if (!isSourceType(type)) errors.push(notSupported(`${field}.type`, type, sourceTypes))
  const present = Object.values(sourceNames).filter((name) => metric[name] !== undefined)
  const [first] = present
  if (first !== undefined) append(errors, validateSource(metric, first, `${field}.${first}`))
  const expected = isSourceType(type) ? sourceNames[type] : undefined
  if (expected === undefined) errors.push(notSupported(`${field}.type`, type, sourceTypes))
  else if (metric[expected] === undefined)
    errors.push(required(`${field}.${expected}`, 'must populate information for the given metric source'))
  if (present.length !== 1) {
    for (const name of present)
      if (name !== expected) errors.push(forbiddenField(`${field}.${name}`, 'must populate the given metric source only'))
  }
  return errors
}

function validateScalingRules(rules: HPAScalingRules | undefined, field: string): FieldError[] {
  if (rules === undefined) return []
  const errors: FieldError[] = []
  const { stabilizationWindowSeconds: window, selectPolicy, policies = [], tolerance } = rules
  const windowField = `${field}.stabilizationWindowSeconds`
  if (window !== undefined && window < 0) errors.push(invalidValue(windowField, window, 'must be greater than or equal to zero'))
  if (window !== undefined && window > maxWindowSeconds)
    errors.push(invalidValue(windowField, window, `must be less than or equal to ${maxWindowSeconds}`))
  const selections = ['Disabled', 'Max', 'Min']
  if (selectPolicy !== undefined && !selections.includes(selectPolicy))
    errors.push(notSupported(`${field}.selectPolicy`, selectPolicy, selections))
  if (policies.length === 0) errors.push(required(`${field}.policies`, 'must specify at least one Policy'))
  for (const [index, { type, value, periodSeconds }] of policies.entries()) {
    const at = `${field}.policies[${index}]`
    if (type !== 'Pods' && type !== 'Percent') errors.push(notSupported(`${at}.type`, type, ['Percent', 'Pods']))
    if (value <= 0) errors.push(invalidValue(`${at}.value`, value, 'must be greater than zero'))
    if (periodSeconds <= 0) errors.push(invalidValue(`${at}.periodSeconds`, periodSeconds, 'must be greater than zero'))
    if (periodSeconds > maxPeriodSeconds)
      errors.push(invalidValue(`${at}.periodSeconds`, periodSeconds, `must be less than or equal to ${maxPeriodSeconds}`))
  }
  if (tolerance !== undefined && quantityNanos(tolerance) < 0n) {
    errors.push(invalidValue(`${field}.tolerance`, tolerance, 'must be greater than or equal to 0'))
  }
  return errors
}

/** Problems of the spec of an autoscaler. */
export function validateAutoscalerSpec({
  minReplicas,
  maxReplicas,
  scaleTargetRef,
  metrics = [],
  behavior,
}: HorizontalPodAutoscalerSpec): FieldError[] {
  const errors: FieldError[] = []
  if (minReplicas !== undefined && minReplicas < 1)
    errors.push(invalidValue('spec.minReplicas', minReplicas, 'must be greater than or equal to 1'))
  if (!maxReplicas) errors.push(required('spec.maxReplicas', 'must be set and greater than 0'))
  else if (maxReplicas < 0) errors.push(invalidValue('spec.maxReplicas', maxReplicas, 'must be greater than or equal to 1'))
  if (minReplicas !== undefined && (maxReplicas ?? 0) < minReplicas) {
    errors.push(invalidValue('spec.maxReplicas', maxReplicas ?? 0, 'must be greater than or equal to `minReplicas`'))
  }
  return [
    ...errors,
    ...validateReference(scaleTargetRef, 'spec.scaleTargetRef', true),
    ...metrics.flatMap((metric, index) => validateMetric(metric, `spec.metrics[${index}]`)),
    ...(minReplicas === 0 && !metrics.some(({ type }) => type === 'Object' || type === 'External')
      ? [forbiddenField('spec.metrics', 'must specify at least one Object or External metric to support scaling to zero replicas')]
      : []),
    ...validateScalingRules(behavior?.scaleUp, 'spec.behavior.scaleUp'),
    ...validateScalingRules(behavior?.scaleDown, 'spec.behavior.scaleDown'),
  ]
}

const unknown = '<unknown>'
const percentage = (value: number | undefined, absent: string): string => (value === undefined ? absent : `${value}%`)

function metricText(metric: MetricSpec, status: MetricStatus | undefined): string {
  switch (metric.type) {
    case 'External':
    case 'Object': {
      const target = (metric.external ?? metric.object)?.target
      const current = (metric.type === 'External' ? status?.external : status?.object)?.current
      return target?.averageValue === undefined
        ? `${current === undefined ? unknown : (current.value ?? '<nil>')}/${target?.value ?? '<nil>'}`
        : `${current?.averageValue ?? unknown}/${target.averageValue} (avg)`
    }
    case 'Pods':
      return `${status?.pods === undefined ? unknown : (status.pods.current.averageValue ?? '<nil>')}/${metric.pods?.target.averageValue ?? '<nil>'}`
    case 'Resource':
    case 'ContainerResource': {
      const source = metric.type === 'Resource' ? metric.resource : metric.containerResource
      const current = (metric.type === 'Resource' ? status?.resource : status?.containerResource)?.current
      return source?.target.averageValue === undefined
        ? `${source?.name ?? ''}: ${percentage(current?.averageUtilization, unknown)}/${percentage(source?.target.averageUtilization, '<auto>')}`
        : `${source.name}: ${current === undefined ? unknown : (current.averageValue ?? '<nil>')}/${source.target.averageValue}`
    }
    default:
      return '<unknown type>'
  }
}

const maxShown = 2

/** The Targets cell: measured/wanted of up to two metrics. */
export function metricsText({ spec, status }: HorizontalPodAutoscaler): string {
  const metrics = spec.metrics ?? []
  if (metrics.length === 0) return '<none>'
  const shown = metrics.slice(0, maxShown).map((metric, index) => metricText(metric, status?.currentMetrics?.[index]))
  return `${shown.join(', ')}${metrics.length > maxShown ? ` + ${metrics.length - maxShown} more...` : ''}`
}
