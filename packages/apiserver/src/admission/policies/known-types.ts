import { apiVersionOf, schemaOf, typeSchema, type TypeSchema, type ValueSchema } from '@k3s/api'
import { dyn, listOf, mapOf, simple, type CelType } from '@k3s/cel'
import { declTypeOf, escapeName } from '../../custom-resources/schema/decl-type.ts'
import type { ServedResource } from '../../registry/served-resource.ts'

/** What checks ahead of requests know of the objects of a resource; undefined for nothing. */
export function knownTypeOf({ type, custom }: ServedResource): CelType | undefined {
  if (custom === undefined) {
    const schema = schemaOf(apiVersionOf(type), type.kind)
    return schema === undefined ? undefined : structType(schema, new Set())
  }
  const { schema } = custom.published
  const declared = schema === undefined ? undefined : declTypeOf(schema, true)?.type
  const metadata = typeSchema('meta/v1.ObjectMeta')
  if (declared?.kind !== 'object' || metadata === undefined) return undefined
  return { ...declared, name: type.kind, fields: new Map([...declared.fields, ['metadata', structType(metadata, new Set())]]) }
}

/** Types that contain themselves are known down to where they begin again. */
function structType(schema: TypeSchema, within: ReadonlySet<TypeSchema>): CelType {
  if (within.has(schema)) return dyn
  const below = new Set(within).add(schema)
  const fields = new Map<string, CelType>()
  for (const [name, { value }] of schema.byName) {
    const escaped = escapeName(name)
    if (escaped !== undefined) fields.set(escaped, valueType(value, below))
  }
  return { kind: 'object', name: schema.goName, fields }
}

function valueType(value: ValueSchema, within: ReadonlySet<TypeSchema>): CelType {
  switch (value.kind) {
    case 'ref':
      return structType(value.type, within)
    case 'list':
      return listOf(valueType(value.items, within))
    case 'map':
      return mapOf(simple('string'), valueType(value.values, within))
    case 'bool':
      return simple('bool')
    case 'int32':
    case 'int64':
      return simple('int')
    case 'double':
      return simple('double')
    case 'bytes':
      return simple('bytes')
    case 'time':
    case 'microtime':
      return simple('timestamp')
    case 'string':
    case 'duration':
      return simple('string')
    case 'strings':
      return listOf(simple('string'))
    default:
      return dyn
  }
}
