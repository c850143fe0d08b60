import { type Namespace, namespaces } from '@k3s/api/types/core/v1'
import { invalidValue } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { invalids } from '../../validation/fields.ts'
import { dns1123Label, qualifiedName } from '../../validation/names.ts'
import { validateFinalizerOwner } from '../../validation/object-meta.ts'
import { keepStatus } from '../shared/status-rules.ts'

const validateFinalizer = (name: string, field: string): FieldError[] => [
  ...invalids(field, name, qualifiedName(name)),
  ...validateFinalizerOwner(name, field),
]

function defaults(namespace: Namespace): void {
  namespace.spec ??= {}
  namespace.status ??= {}
  namespace.status.phase ||= 'Active'
  const { name } = namespace.metadata
  if (name !== '') namespace.metadata.labels = { ...namespace.metadata.labels, 'kubernetes.io/metadata.name': name }
}

function validateStatus(namespace: Namespace): FieldError[] {
  const phase = namespace.status?.phase
  if (namespace.metadata.deletionTimestamp === undefined) {
    return phase === 'Active' ? [] : [invalidValue('status.Phase', phase, "may only be 'Active' if `deletionTimestamp` is empty")]
  }
  return phase === 'Terminating'
    ? []
    : [invalidValue('status.Phase', phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
}

/** Rules for namespaces: they keep the finalizer `kubernetes` until their content is gone. */
export const namespaceStrategy: ResourceStrategy<Namespace> = {
  type: namespaces,
  hasGeneration: false,
  validateName: dns1123Label,
  defaults,
  prepareForCreate(namespace) {
    namespace.status = { phase: 'Active' }
    const finalizers = namespace.spec.finalizers ?? []
    namespace.spec.finalizers = finalizers.includes('kubernetes') ? finalizers : [...finalizers, 'kubernetes']
    defaults(namespace)
  },
  validate: (namespace) => (namespace.spec.finalizers ?? []).flatMap((name) => validateFinalizer(name, 'spec.finalizers')),
  update: {
    prepare(namespace, previous) {
      namespace.spec.finalizers = previous.spec.finalizers
      namespace.status = structuredClone(previous.status)
    },
  },
  status: {
    prepare(namespace, previous) {
      namespace.spec.finalizers = previous.spec.finalizers
    },
    validate: validateStatus,
  },
  selectableFields: {
    'status.phase': (namespace) => namespace.status?.phase ?? '',
    name: (namespace) => namespace.metadata.name,
  },
  columns: [
    nameColumn(),
    column('Status', (namespace) => namespace.status?.phase ?? '', { description: 'Active or Terminating' }),
    ageColumn(),
  ],
  views: {
    finalize: {
      prepare: keepStatus,
      validate: ({ spec }) => (spec.finalizers ?? []).flatMap((name, index) => validateFinalizer(name, `spec.finalizers[${index}]`)),
    },
  },
}
