import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
  SelectableField,
} from '@k3s/api/types/apiextensions/v1'
import { equalJson } from '../../json.ts'
import type { Schema } from '../schema/schema.ts'

/** What a version, or all of them alike, say about their objects. */
export interface VersionFacts {
  readonly hasSchemaField: boolean
  readonly schema: Schema | undefined
  readonly subresources: CustomResourceSubresources | undefined
  readonly columns: readonly CustomResourceColumnDefinition[]
  readonly selectableFields: readonly SelectableField[]
}

/** Upstream's internal form, whose places its errors name: what all versions have alike stands once, above them. */
export interface InternalSpec {
  readonly common: VersionFacts
  readonly versions: readonly (VersionFacts & { readonly version: CustomResourceDefinitionVersion })[]
}

export function internalSpec({ versions }: CustomResourceDefinitionSpec): InternalSpec {
  const [first] = versions
  const isCommon = (read: (version: CustomResourceDefinitionVersion) => unknown): boolean =>
    first !== undefined && versions.every((version) => equalJson(read(version), read(first)))
  const commonSchema = isCommon(({ schema }) => schema)
  const commonSubresources = isCommon(({ subresources }) => subresources)
  const commonColumns = isCommon(({ additionalPrinterColumns = [] }) => additionalPrinterColumns)
  const commonFields = isCommon(({ selectableFields = [] }) => selectableFields)
  const facts = (version: CustomResourceDefinitionVersion | undefined, takes: (isCommonPart: boolean) => boolean): VersionFacts => ({
    hasSchemaField: takes(commonSchema) && version?.schema !== undefined,
    schema: takes(commonSchema) ? version?.schema?.openAPIV3Schema : undefined,
    subresources: takes(commonSubresources) ? version?.subresources : undefined,
    columns: takes(commonColumns) ? (version?.additionalPrinterColumns ?? []) : [],
    selectableFields: takes(commonFields) ? (version?.selectableFields ?? []) : [],
  })
  return {
    common: facts(first, (isCommonPart) => isCommonPart),
    versions: versions.map((version) => ({ ...facts(version, (isCommonPart) => !isCommonPart), version })),
  }
}

/**
 * The versions as errors quote them: in upstream's internal form, in which what all of them have alike is null. Unlike kube-apiserver, which tells a list
 * that was sent empty from none: both are null.
 */
export function shownVersions({ versions }: InternalSpec): unknown {
  if (versions.length === 0) return null
  return versions.map(({ version, hasSchemaField, schema, subresources, columns, selectableFields }) => ({
    Name: version.name,
    Served: version.served,
    Storage: version.storage,
    Deprecated: version.deprecated ?? false,
    DeprecationWarning: version.deprecationWarning ?? null,
    Schema: hasSchemaField ? { OpenAPIV3Schema: schema ?? null } : null,
    Subresources: subresources === undefined ? null : shownSubresources(subresources),
    AdditionalPrinterColumns:
      columns.length === 0
        ? null
        : columns.map(({ name, type, format = '', description = '', priority = 0, jsonPath }) => ({
            Name: name,
            Type: type,
            Format: format,
            Description: description,
            Priority: priority,
            JSONPath: jsonPath,
          })),
    SelectableFields: selectableFields.length === 0 ? null : selectableFields.map(({ jsonPath }) => ({ JSONPath: jsonPath })),
  }))
}

function shownSubresources({ status, scale }: CustomResourceSubresources): unknown {
  return {
    Status: status ?? null,
    Scale:
      scale === undefined
        ? null
        : {
            SpecReplicasPath: scale.specReplicasPath,
            StatusReplicasPath: scale.statusReplicasPath,
            LabelSelectorPath: scale.labelSelectorPath ?? null,
          },
  }
}
