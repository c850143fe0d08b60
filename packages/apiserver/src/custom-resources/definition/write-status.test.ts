import type { CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { expect, it } from 'vitest'
import { writeStatus } from './write-status.ts'

it('writeStatus() makes the server the owner of what it writes', () => {
  const definition: CustomResourceDefinition = {
    metadata: {
      name: 'things.example.com',
      managedFields: [
        {
          manager: 'me',
          operation: 'Update',
          apiVersion: 'apiextensions.k8s.io/v1',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:spec': { 'f:group': {} } },
        },
      ],
    },
    spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'things', kind: 'Thing' }, versions: [] },
    status: { acceptedNames: { plural: '', kind: '' }, conditions: [], storedVersions: ['v1'] },
  }
  writeStatus(definition, Date.parse('2026-01-02T03:04:05Z'), () => {
    definition.status = { ...definition.status, acceptedNames: { plural: 'things', kind: 'Thing' } }
  })
  expect(definition.metadata.managedFields).toContainEqual({
    manager: 'kube-apiserver',
    operation: 'Update',
    apiVersion: 'apiextensions.k8s.io/v1',
    subresource: 'status',
    time: '2026-01-02T03:04:05Z',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:status': { 'f:acceptedNames': { 'f:kind': {}, 'f:plural': {} } } },
  })
  expect(definition.metadata.managedFields).toHaveLength(2)
})
