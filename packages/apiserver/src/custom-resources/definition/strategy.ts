import { customresourcedefinitions, type CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { copyJson } from '../../json.ts'
import type { RequestScope, ResourceStrategy } from '../../registry/strategy.ts'
import { effectiveFormat } from '../schema/formats.ts'
import { someSchema } from '../schema/schema.ts'
import { setCondition, statusOf } from './conditions.ts'
import { validateDefinition, validateDefinitionName, validateDefinitionStatus, validateDefinitionUpdate } from './validation.ts'

/** Keeps a definition until its objects are gone. */
export const cleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io'

function defaults({ spec, status }: CustomResourceDefinition): void {
  const { names } = spec
  if ((names.singular ?? '') === '') names.singular = names.kind.toLowerCase()
  if ((names.listKind ?? '') === '' && names.kind !== '') names.listKind = `${names.kind}List`
  spec.conversion ??= { strategy: 'None' }
  const service = spec.conversion.webhook?.clientConfig?.service
  if (service !== undefined) service.port ??= 443
  const storage = spec.versions.find((version) => version.storage)
  if (status !== undefined && (status.storedVersions ?? []).length === 0 && storage !== undefined) status.storedVersions = [storage.name]
}

/** The storage version was stored from now on. */
function recordStorageVersion(definition: CustomResourceDefinition): void {
  const storage = definition.spec.versions.find((version) => version.storage)
  const stored = (statusOf(definition).storedVersions ??= [])
  if (storage !== undefined && !stored.includes(storage.name)) stored.push(storage.name)
}

function unknownFormats({ spec }: CustomResourceDefinition): Set<string> {
  const unknown = new Set<string>()
  for (const { schema } of spec.versions)
    someSchema(schema?.openAPIV3Schema, ({ type, format }) => {
      if (format !== undefined && format !== '' && effectiveFormat(type, format) === '') unknown.add(format)
      return false
    })
  return unknown
}

function warnAboutFormats(definition: CustomResourceDefinition, previous: CustomResourceDefinition | undefined, scope: RequestScope): void {
  const known = previous === undefined ? new Set<string>() : unknownFormats(previous)
  for (const format of unknownFormats(definition)) if (!known.has(format)) scope.warn(`unrecognized format ${JSON.stringify(format)}`)
}

/** Rules of CustomResourceDefinitions. */
export const definitionStrategy: ResourceStrategy<CustomResourceDefinition> = {
  type: customresourcedefinitions,
  hasGeneration: true,
  allowUnconditionalUpdate: false,
  validateName: validateDefinitionName,
  defaults,
  prepareForCreate(definition) {
    definition.status = { acceptedNames: { plural: '', kind: '' }, conditions: [], storedVersions: [] }
    recordStorageVersion(definition)
  },
  validateCreate(definition, scope) {
    warnAboutFormats(definition, undefined, scope)
    return validateDefinition(definition)
  },
  update: {
    prepare: (definition, previous) => {
      definition.status = copyJson(previous.status)
      recordStorageVersion(definition)
    },
    validate(definition, previous, scope) {
      warnAboutFormats(definition, previous, scope)
      return validateDefinitionUpdate(definition, previous)
    },
  },
  status: {
    validate: (definition) => validateDefinitionStatus(definition),
  },
  markForDeletion(definition, now) {
    const finalizers = (definition.metadata.finalizers ??= [])
    if (!finalizers.includes(cleanupFinalizer)) finalizers.push(cleanupFinalizer)
    setCondition(
      definition,
      {
        type: 'Terminating',
        status: 'True',
        reason: 'InstanceDeletionPending',
        message: 'CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon',
      },
      now,
    )
  },
}
