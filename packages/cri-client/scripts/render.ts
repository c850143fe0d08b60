import type { ProtoField, ProtoFile } from './parse-proto.ts'

const header = '// Made by `node scripts/generate.ts` from proto/cri.proto; not to be edited.\n'

const camel = (name: string): string => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
const doc = (text: string, indent: string): string => (text === '' ? '' : `${indent}/** ${text} */\n`)
const scalars: Readonly<Record<string, string>> = {
  string: 'string',
  bool: 'boolean',
  bytes: 'Uint8Array',
  int32: 'number',
  int64: 'number',
  uint32: 'number',
  uint64: 'number',
  double: 'number',
}

function typeOf({ type, label }: ProtoField): string {
  const value = scalars[type] ?? type
  if (label === 'repeated') return `readonly ${value}[]`
  if (label === 'map') return `Readonly<Record<string, ${value}>>`
  return value
}

/** The text of `src/generated/types.ts`. */
export function renderTypes({ messages, enums }: ProtoFile): string {
  let types = header
  for (const [name, values] of enums)
    types += `\nexport type ${name} =\n${values.map((value) => `${doc(value.doc, '  ')}  | '${value.name}'`).join('\n')}\n  | 'UNRECOGNIZED'\n`
  for (const [name, fields] of messages) {
    types += `\nexport interface ${name} {\n`
    for (const field of fields) {
      const isOptional = messages.has(field.type) && field.label === ''
      types += `${doc(field.doc, '  ')}  readonly ${camel(field.name)}${isOptional ? '?' : ''}: ${typeOf(field)}${isOptional ? ' | undefined' : ''}\n`
    }
    types += '}\n'
  }
  return types
}

/** The text of `src/generated/schema.ts`. */
export function renderSchema({ messages, enums, services }: ProtoFile): string {
  let schema = `${header}import type { EnumSchema, MessageSchema, MethodSchema } from '../schema.ts'\n\n`
  schema += 'export const enums: Readonly<Record<string, EnumSchema>> = {\n'
  for (const [name, values] of enums) schema += `  ${name}: { ${values.map((value) => `${value.name}: ${value.number}`).join(', ')} },\n`
  schema += '}\n\nexport const messages: Readonly<Record<string, MessageSchema>> = {\n'
  for (const [name, fields] of messages) {
    const entry = (field: ProtoField): string =>
      `    ${camel(field.name)}: [${field.number}, '${field.type}'${field.label === '' ? '' : `, '${field.label}'`}],\n`
    schema += `  ${name}: {\n${fields.map(entry).join('')}  },\n`
  }
  schema += '}\n\nexport const services: Readonly<Record<string, Readonly<Record<string, MethodSchema>>>> = {\n'
  for (const [name, methods] of services) {
    schema += `  ${name}: {\n`
    for (const method of methods)
      schema += `    ${method.name}: ['${method.request}', '${method.response}'${method.streams ? ", 'stream'" : ''}],\n`
    schema += '  },\n'
  }
  return `${schema}}\n`
}
