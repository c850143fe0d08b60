export type { IntOrString, Quantity, RootMeta } from './scalars.ts'
export type { KubernetesList, KubernetesObject, ResourceType } from './resource-type.ts'
export { apiVersionOf, groupResourceOf, objectKey, resourcePath, splitKey } from './resource-type.ts'
export type { ErrorSubject, StatusErrorOptions, StatusReason } from './status.ts'
export {
  alreadyExists,
  badRequest,
  conflict,
  forbidden,
  hasReason,
  invalid,
  isStatusError,
  notFound,
  StatusError,
  statusErrorOf,
} from './status.ts'
export {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  isQuantity,
  milliQuantity,
  quantityMilli,
  quantityNanos,
  quantityOf,
  quantityValue,
  subtractQuantities,
} from './quantity.ts'
export type { FieldRequirement, Requirement, Selector } from './selector.ts'
export {
  formatLabels,
  formatSelector,
  matchesSelector,
  parseFieldSelector,
  parseLabelSelector,
  selectorFromExpressions,
  selectorOf,
  selects,
} from './selector.ts'
export type {
  FieldSchema,
  GroupVersionKind,
  InlineSchema,
  ListType,
  ListValue,
  MapValue,
  RefValue,
  ScalarKind,
  ScalarValue,
  TypeSchema,
  ValueSchema,
} from './schema/table.ts'
export { fieldAt, schemaOf, typeNames, typeSchema } from './schema/table.ts'
export type { GroupInfo, ResourceInfo, SubresourceInfo } from './schema/resources.ts'
export { findResource, groupInfos, resourceInfos } from './schema/resources.ts'
export type { JsonObject } from './codec/decode-object.ts'
export type { Decoded, SchemaPicker, TypeHead } from './codec/json.ts'
export { decodeJson, decodeObject, duplicateFields, strictDecodingError } from './codec/json.ts'
export { decodeYaml, encodeYaml, parseYaml, readYamlText, splitYaml, type YamlText } from './codec/yaml.ts'
export { jsonSyntaxProblem } from './codec/json-syntax.ts'
export { clearNulls, withNulls } from './codec/nulls.ts'
export type { ProtobufEnvelope } from './codec/protobuf-decode.ts'
export { decodeProtobuf, isProtobuf, readEnvelope } from './codec/protobuf-decode.ts'
export { encodeProtobuf, encodeProtobufMessage } from './codec/protobuf-encode.ts'
export { restoreProblem } from './codec/restore-problem.ts'
export { jsonMergePatch } from './merge/json-merge-patch.ts'
export { goText } from './merge/go-text.ts'
export { strategicMergePatch } from './merge/strategic-merge-patch.ts'
export type { CustomOpenApi, OpenApiOptions } from './openapi/documents.ts'
export type { Descriptions } from './openapi/schemas.ts'
export { loadDescriptions, openApiOfCustom, openApiV2, openApiV3, openApiV3Index, openApiV3Keys } from './openapi/documents.ts'
export { openApiName } from './openapi/schemas.ts'
export { mergeConfiguration } from './merge/apply-configuration.ts'
export type { FieldSet } from './merge/field-set.ts'
export type { MergeSchema } from './merge/merge-schema.ts'
export { deducedSchema, mergeSchemaOf, mergeSchemaOfCustom } from './merge/merge-schema.ts'
export type { ApplyInput, ManagedWrite, UpdateInput } from './merge/server-side-apply.ts'
export { applyPatch, updateManagedFields } from './merge/server-side-apply.ts'
export { ownersOfScaled, scaleOwners, type ReplicasPaths } from './merge/scale-owners.ts'
export { encodeOpenApiV2 } from './openapi/v2-protobuf.ts'
