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
