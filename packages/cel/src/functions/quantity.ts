import { addQuantities, compareQuantities, isQuantity, quantityNanos, subtractQuantities } from '@k3s/api'
import { one, traversal } from '../costs.ts'
import { overload, type Overload } from '../overload.ts'
import { EvaluationError, Opaque, type Value } from '../values.ts'
import { asString } from './arguments.ts'

const billion = 1_000_000_000n

const make = (text: string): Opaque =>
  new Opaque('kubernetes.Quantity', text, { equals: (other) => compareQuantities(text, String(other)) === 0 })

function quantityOf(value: Value | undefined): string {
  if (!(value instanceof Opaque) || value.typeName !== 'kubernetes.Quantity') throw new EvaluationError('no such overload')
  return value.content as string // made above
}

function parse(value: Value | undefined): Opaque {
  const text = asString(value)
  if (!isQuantity(text))
    throw new EvaluationError(
      `quantity parse error during conversion from string: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
    )
  return make(text)
}

/** The whole number that a quantity is; undefined for others. */
function integerOf(text: string): bigint | undefined {
  const nanos = quantityNanos(text)
  if (nanos % billion !== 0n) return undefined
  const value = nanos / billion
  return value > 9223372036854775807n || value < -9223372036854775808n ? undefined : value
}

const plus = (b: Value | undefined): string => (typeof b === 'bigint' ? String(b) : quantityOf(b))

/** Kubernetes' quantities. */
export const quantityFunctions: readonly Overload[] = [
  overload('string_to_quantity quantity(string) kubernetes.Quantity', parse, traversal()),
  overload('is_quantity_string isQuantity(string) bool', (a) => isQuantity(asString(a)), traversal()),
  overload('quantity_sign on kubernetes.Quantity.sign() int', (a) => BigInt(Math.sign(compareQuantities(quantityOf(a), '0'))), one),
  overload('quantity_is_integer on kubernetes.Quantity.isInteger() bool', (a) => integerOf(quantityOf(a)) !== undefined, one),
  overload(
    'quantity_get_int on kubernetes.Quantity.asInteger() int',
    (a) => {
      const value = integerOf(quantityOf(a))
      if (value === undefined) throw new EvaluationError('cannot convert value to integer')
      return value
    },
    one,
  ),
  overload('quantity_get_float on kubernetes.Quantity.asApproximateFloat() double', (a) => Number(quantityNanos(quantityOf(a))) / 1e9, one),
  overload(
    'quantity_is_greater_than on kubernetes.Quantity.isGreaterThan(kubernetes.Quantity) bool',
    (a, b) => compareQuantities(quantityOf(a), quantityOf(b)) > 0,
    one,
  ),
  overload(
    'quantity_is_less_than on kubernetes.Quantity.isLessThan(kubernetes.Quantity) bool',
    (a, b) => compareQuantities(quantityOf(a), quantityOf(b)) < 0,
    one,
  ),
  overload(
    'quantity_compare_to on kubernetes.Quantity.compareTo(kubernetes.Quantity) int',
    (a, b) => BigInt(Math.sign(compareQuantities(quantityOf(a), quantityOf(b)))),
    one,
  ),
  ...['kubernetes.Quantity', 'int'].flatMap((type) => [
    overload(
      `quantity_add_${type} on kubernetes.Quantity.add(${type}) kubernetes.Quantity`,
      (a, b) => make(addQuantities(quantityOf(a), plus(b))),
      one,
    ),
    overload(
      `quantity_sub_${type} on kubernetes.Quantity.sub(${type}) kubernetes.Quantity`,
      (a, b) => make(subtractQuantities(quantityOf(a), plus(b))),
      one,
    ),
  ]),
]
