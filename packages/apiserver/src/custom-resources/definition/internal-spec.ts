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
