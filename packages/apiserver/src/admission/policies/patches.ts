import { apiVersionOf, isStatusError, mergeConfiguration, schemaOf, type JsonObject, type KubernetesObject } from '@k3s/api'
import { ListValue, MapValue, type Value } from '@k3s/cel'
import { copyJson } from '../../json.ts'
import { applyJsonPatch, FailedTest } from '../../pipeline/json-patch.ts'
import type { ServedResource } from '../../registry/served-resource.ts'
import { isObjectValue, jsonOf } from '../expressions/values.ts'
import type { GroupVersionKind } from '../matching/catalog.ts'
import { decodeChanged } from '../matching/decode-changed.ts'

/** What is changed: an object in some version, and what is known of its kind. */
export interface PatchTarget {
  readonly object: KubernetesObject
  readonly kind: GroupVersionKind
  readonly served: ServedResource | undefined
}

/** The object with an apply configuration, which an expression made, merged into it. Throws an Error in upstream's words. */
export function applyConfiguration(value: Value, target: PatchTarget): KubernetesObject {
  checkTypeNames(value)
  const { object, kind, served } = target
  const configuration = jsonOf(value)
  if (typeof configuration !== 'object' || configuration === null) throw new Error('invalid return type')
  const wanted = { ...(configuration as JsonObject), apiVersion: apiVersionOf(kind), kind: kind.kind } // an object's fields are named
  const isOwnKind = served?.type.kind === kind.kind
  const schema = schemaOf(apiVersionOf(kind), kind.kind) ?? (isOwnKind ? served?.storage?.mergeSchema : undefined)
  if (schema === undefined) throw new Error(`error applying patch: type converter must not be nil`)
  try {
    return decode(mergeConfiguration(copyJson(object) as unknown as JsonObject, wanted, schema), target) // an API object is a JSON object
  } catch (error) {
    throw new Error(`error applying patch: ${textOf(error)}`, { cause: error })
  }
}

/** The object after a JSON patch that an expression made. A test that fails leaves it as it is. Throws an Error in upstream's words. */
export function applyPatchList(value: Value, target: PatchTarget): KubernetesObject {
  if (!(value instanceof ListValue)) throw new Error('type mismatch: JSONPatchType.expression should evaluate to array')
  const operations = [...value].map(operationOf)
  let patched: unknown
  try {
    patched = applyJsonPatch(operations, target.object)
  } catch (error) {
    if (error instanceof FailedTest) return target.object
    throw new Error(`JSON Patch: ${textOf(error)}`, { cause: error })
  }
  return decode(patched as JsonObject, target) // decoding looks at it
}

const textOf = (error: unknown): string =>
  isStatusError(error) ? (error.details?.causes?.[0]?.message ?? error.message) : error instanceof Error ? error.message : String(error)

function operationOf(value: Value): JsonObject {
  if (!isObjectValue(value)) throw new Error('type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch')
  const operation: JsonObject = {}
  for (const name of ['op', 'path', 'from', 'value']) {
    const field = value.field(name)
    if (field === undefined || (name === 'from' && field === '')) continue
    if (name === 'value') checkTypeNames(field)
    operation[name] = jsonOf(field)
  }
  return { op: '', path: '', ...operation }
}

/** Objects below a field are named after it: `Object.spec` stands in `spec`. Throws an Error that names each that is not. */
function checkTypeNames(value: Value): void {
  if (!isObjectValue(value)) return
  const problems = typeProblems(value, value.typeName)
  if (problems.length > 0) throw new Error(`type mismatch: ${problems.join('\n')}`)
}

function typeProblems(value: Value | undefined, expected: string): string[] {
  if (value instanceof ListValue) return [...value].flatMap((item) => typeProblems(item, expected))
  if (value instanceof MapValue) return [...value.keys()].flatMap((key) => typeProblems(value.get(key), expected))
  if (!isObjectValue(value)) return []
  const own =
    value.typeName === expected
      ? []
      : [
          `unexpected type name ${JSON.stringify(value.typeName)}, expected ${JSON.stringify(expected)}, which matches field name path from root Object type`,
        ]
  return [...own, ...value.fieldNames().flatMap((name) => typeProblems(value.field(name), `${expected}.${name}`))]
}

function decode(value: JsonObject, { kind, served }: PatchTarget): KubernetesObject {
  const coerce = served?.type.kind === kind.kind ? served.custom?.coerce : undefined
  return decodeChanged(value, kind, { fieldValidation: 'Strict', coerce })
}
