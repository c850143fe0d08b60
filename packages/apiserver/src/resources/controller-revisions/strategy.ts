import { type ControllerRevision, controllerrevisions } from '@k3s/api/types/apps/v1'
import { required } from '../../validation/field-error.ts'
import type { ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { immutable, nonNegative } from '../../validation/fields.ts'
import { isNew } from '../shared/status-rules.ts'

function controller(revision: ControllerRevision): string {
  const owner = revision.metadata.ownerReferences?.find((reference) => reference.controller === true)
  if (owner === undefined) return '<none>'
  const [group] = owner.apiVersion.includes('/') ? owner.apiVersion.split('/') : ['']
  return `${owner.kind.toLowerCase()}${group ? `.${group}` : ''}/${owner.name}`
}

/** Rules for controller revisions: their data never changes. */
export const controllerRevisionStrategy: ResourceStrategy<ControllerRevision> = {
  type: controllerrevisions,
  hasGeneration: false,
  validate: (revision) => [
    ...nonNegative('revision', revision.revision),
    ...(isNew(revision) && (revision.data === undefined || revision.data === null) ? [required('data', 'data is mandatory')] : []),
  ],
  update: { validate: (revision, previous) => immutable('data', revision.data, previous.data) },
  columns: [
    nameColumn(),
    column('Controller', controller, { description: 'Whose history it is' }),
    column('Revision', ({ revision }) => revision ?? 0, { description: 'Number of the revision' }),
    ageColumn(),
  ],
}
