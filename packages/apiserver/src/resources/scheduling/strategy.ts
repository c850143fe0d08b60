import { type PriorityClass, priorityclasses } from '@k3s/api/types/scheduling/v1'
import { type RuntimeClass, runtimeclasses } from '@k3s/api/types/node/v1'
import { forbiddenField, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { validateTolerations } from '../pods/scheduling.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { immutable, invalids, optionalOneOf } from '../../validation/fields.ts'
import { dns1123Label } from '../../validation/names.ts'
import { validateLabels } from '../../validation/object-meta.ts'
import { canonicalizeResources } from '../shared/resource-list.ts'
import { validateRequirements } from '../shared/resource-validation.ts'

const systemPriorities: Readonly<Record<string, number>> = { 'system-node-critical': 2000001000, 'system-cluster-critical': 2000000000 }
const maxUserPriority = 1000000000

function validatePriority({ metadata, value, globalDefault, preemptionPolicy }: PriorityClass): FieldError[] {
  const errors: FieldError[] = []
  const { name } = metadata
  if (name.startsWith('system-')) {
    const known = systemPriorities[name]
    const reserved = "priority class names with 'system-' prefix are reserved for system use only. error: "
    if (known === undefined) errors.push(forbiddenField('metadata.name', `${reserved}${name} is not a known system priority class`))
    else if (known !== value) errors.push(forbiddenField('metadata.name', `${reserved}value of ${name} PriorityClass must be ${known}`))
    else if (globalDefault === true)
      errors.push(forbiddenField('metadata.name', `${reserved}globalDefault of ${name} PriorityClass must be false`))
  } else if ((value ?? 0) > maxUserPriority)
    errors.push(forbiddenField('value', `maximum allowed value of a user defined priority is ${maxUserPriority}`))
  return [...errors, ...optionalOneOf('preemptionPolicy', preemptionPolicy, ['PreemptLowerPriority', 'Never'])]
}

/** Rules for priority classes. */
export const priorityClassStrategy: ResourceStrategy<PriorityClass> = {
  type: priorityclasses,
  hasGeneration: true,
  isNewGeneration: () => false,
  defaults(priority) {
    priority.value ??= 0
    priority.preemptionPolicy ??= 'PreemptLowerPriority'
  },
  validate: validatePriority,
  update: {
    validate: (priority, previous) => [
      ...(priority.value === previous.value ? [] : [forbiddenField('value', 'may not be changed in an update.')]),
      ...immutable('preemptionPolicy', priority.preemptionPolicy, previous.preemptionPolicy),
    ],
  },
  columns: [
    nameColumn(),
    column('Value', ({ value }) => value, { type: 'integer', description: 'Higher goes first' }),
    column('Global-Default', ({ globalDefault }) => globalDefault ?? false, { type: 'boolean' }),
    ageColumn(),
    column('PreemptionPolicy', ({ preemptionPolicy }) => preemptionPolicy ?? ''),
  ],
}

/** Rules for runtime classes. */
export const runtimeClassStrategy: ResourceStrategy<RuntimeClass> = {
  type: runtimeclasses,
  hasGeneration: false,
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  defaults: ({ overhead }) => canonicalizeResources(overhead?.podFixed),
  validate: ({ handler, overhead, scheduling }) => [
    ...(handler ? invalids('handler', handler, dns1123Label(handler)) : [required('handler')]),
    ...(overhead === undefined ? [] : validateRequirements({ limits: overhead.podFixed }, new Set(), 'overhead.podFixed')),
    ...validateLabels(scheduling?.nodeSelector, 'scheduling.nodeSelector'),
    ...validateTolerations(scheduling?.tolerations, 'scheduling.tolerations'),
  ],
  update: { validate: (runtime, previous) => immutable('handler', runtime.handler, previous.handler) },
  columns: [nameColumn(), column('Handler', ({ handler }) => handler, { description: "The runtime's own name for it" }), ageColumn()],
}
