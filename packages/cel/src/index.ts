export { Environment, type EnvironmentOptions } from './environment.ts'
export type { CostRange, SizeHint } from './estimate.ts'
export type { Outcome, Program } from './evaluator.ts'
export type { Formats } from './functions/formats.ts'
export { authorizerValue, resourceCheckValue, type AccessCheck, type AccessChecker, type AccessDecision } from './functions/authorizer.ts'
export { parseDuration, parseTimestamp } from './functions/time.ts'
export { CompileError, type Issue } from './issues.ts'
export {
  anyValue,
  dyn,
  formatType,
  listOf,
  mapOf,
  opaque,
  optionalOf,
  simple,
  type CelType,
  type ObjectType,
  type SimpleKind,
} from './types.ts'
export {
  Duration,
  EvaluationError,
  isEqual,
  ListValue,
  MapValue,
  none,
  Opaque,
  Optional,
  Timestamp,
  Uint,
  type ObjectValue,
  type Value,
} from './values.ts'
