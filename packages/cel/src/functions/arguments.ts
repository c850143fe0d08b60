import { EvaluationError, ListValue, type Value } from '../values.ts'

/** The string that the checker and the choice of overload promise. */
export const asString = (value: Value | undefined): string => {
  if (typeof value !== 'string') throw new EvaluationError('no such overload')
  return value
}
/** The list that they promise. */
export const asList = (value: Value | undefined): ListValue => {
  if (!(value instanceof ListValue)) throw new EvaluationError('no such overload')
  return value
}
