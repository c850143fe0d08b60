/**
 * Reads the struct types of Go packages of Kubernetes: enough of Go's grammar for `types.go` files, which hold one field a line
 * with its JSON and protobuf names in a tag.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

export interface GoField {
  readonly goName: string
  /** As written: `[]Container`, `*metav1.Time`, `map[string]string`. */
  readonly goType: string
  /** Empty for an inlined struct. */
  readonly json: string
  readonly isInline: boolean
  /** Left out of JSON when it holds Go's zero value. */
  readonly omitEmpty: boolean
  readonly omitZero: boolean
  /** 0 when the field is not in protobuf. */
  readonly number: number
  /** Names of packages as this file imports them. */
  readonly imports: ReadonlyMap<string, string>
}
export interface GoPackage {
  readonly path: string
  readonly structs: ReadonlyMap<string, readonly GoField[]>
  /** `type X string`: X → `string`. */
  readonly aliases: ReadonlyMap<string, { readonly goType: string; readonly imports: ReadonlyMap<string, string> }>
}

const tagValue = (tag: string, key: string): string | undefined => new RegExp(`(?:^| )${key}:"([^"]*)"`).exec(tag)?.[1]

function readImports(text: string): Map<string, string> {
  const imports = new Map<string, string>()
  for (const [, name, path] of text.matchAll(/^\s*(?:import\s+)?(\w+)?\s*"((?:k8s\.io|sigs\.k8s\.io)\/[^"]+)"$/gm))
    if (path !== undefined) imports.set(name ?? path.split('/').at(-1) ?? '', path)
  return imports
}

function readField(line: string, imports: ReadonlyMap<string, string>): GoField | undefined {
  const match = /^\t(?:(\w+)[ \t]+)?([\w.*[\]]+)[ \t]*`([^`]*)`/.exec(line)
  const [, name, goType, tag] = match ?? []
  if (goType === undefined || tag === undefined) return undefined
  const json = tagValue(tag, 'json')
  if (json === undefined || json === '-') return undefined
  const [jsonName = '', ...flags] = json.split(',')
  return {
    goName: name ?? goType.split('.').at(-1) ?? goType,
    goType,
    json: jsonName,
    isInline: flags.includes('inline'),
    omitEmpty: flags.includes('omitempty') || flags.includes('omitzero'),
    omitZero: flags.includes('omitzero'),
    number: Number(/^\w+,(\d+)/.exec(tagValue(tag, 'protobuf') ?? '')?.[1] ?? 0),
    imports,
  }
}

export function readGoPackage(path: string, dir: string): GoPackage {
  const structs = new Map<string, GoField[]>()
  const aliases = new Map<string, { goType: string; imports: ReadonlyMap<string, string> }>()
  for (const file of readdirSync(dir)) {
    if (!file.endsWith('.go') || file.endsWith('_test.go') || /generated|zz_/.test(file)) continue
    const text = readFileSync(join(dir, file), 'utf8')
    const imports = readImports(text)
    for (const [, name, body] of text.matchAll(/^type (\w+) struct \{\n(.*?)^\}/gms)) {
      if (name === undefined || body === undefined) continue
      const fields = body.split('\n').flatMap((line) => readField(line, imports) ?? [])
      structs.set(name, fields)
    }
    for (const [, name] of text.matchAll(/^type (\w+) struct ?\{\s*\}/gm)) if (name !== undefined) structs.set(name, [])
    for (const [, name, goType] of text.matchAll(/^type (\w+) =?\s*([\w.*[\]]+)$/gm))
      if (name !== undefined && goType !== undefined && goType !== 'interface') aliases.set(name, { goType, imports })
  }
  return { path, structs, aliases }
}
