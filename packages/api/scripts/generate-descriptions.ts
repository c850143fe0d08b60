/**
 * Writes `src/generated/descriptions.json` (git-ignored; what `kubectl explain` prints) from the declarations of the npm package
 * `@kubernetes/client-node`. Run when the package is built.
 *
 *   node --conditions=@k3s/source packages/api/scripts/generate-descriptions.ts DIR-OF-@kubernetes/client-node
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { typeNames, typeSchema } from '../src/schema/table.ts'

const packageDir = process.argv[2]
if (packageDir === undefined) throw new Error('Usage: generate-descriptions.ts DIR-OF-@kubernetes/client-node')
const models = join(packageDir, 'dist/gen/models')

/** Class → its description (key empty) and those of its properties. */
const classes = new Map<string, ReadonlyMap<string, string>>()
const clean = (text: string): string =>
  text
    .replaceAll(/^\s*\* ?/gm, '')
    .trim()
    .replaceAll(/\\(['"\\])/g, '$1')
for (const file of readdirSync(models)) {
  if (!file.endsWith('.d.ts')) continue
  const text = readFileSync(join(models, file), 'utf8')
  const head = /(?:\/\*\*\n((?:(?!\*\/)[\s\S])*?)\*\/\s*)?export declare class (\w+) \{/.exec(text)
  if (head?.[2] === undefined) continue
  const found = new Map<string, string>([['', clean(head[1] ?? '')]])
  for (const [, comment = '', name = ''] of text
    .slice(head.index + head[0].length)
    .matchAll(/\/\*\*\n((?:(?!\*\/)[\s\S])*?)\*\/\s*'([^']+)'\??:/g))
    found.set(name, clean(comment))
  classes.set(head[2], found)
}

const result: Record<string, Record<string, string>> = {}
for (const name of typeNames()) {
  const [, group = '', version = '', type = ''] = /^(\w+)\/(v\d+)\.(\w+)$/.exec(name) ?? []
  const bare = `${version.toUpperCase()}${type}`
  const found = classes.get(`${group[0]?.toUpperCase()}${group.slice(1)}${bare}`) ?? classes.get(bare)
  const fields = typeSchema(name)?.fields
  if (found === undefined || fields === undefined) continue
  const entries: [string, string][] = [['', found.get('') ?? '']]
  for (const field of fields)
    entries.push([field.name, found.get(field.name) ?? found.get(`_${field.name}`) ?? found.get(`$${field.name}`) ?? ''])
  result[name] = Object.fromEntries(entries.filter(([, text]) => text !== ''))
}
const conventions = 'https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md'
const metadataTexts: Readonly<Record<string, string>> = {
  'meta/v1.ObjectMeta': `Standard object's metadata. More info: ${conventions}#metadata`,
  'meta/v1.ListMeta': `Standard list metadata. More info: ${conventions}#types-kinds`,
}
// The declarations have no text for fields that are structs: that of the struct stands in, but for metadata, which every kind has.
for (const [name, texts] of Object.entries(result))
  for (const { name: field, value } of typeSchema(name)?.fields ?? []) {
    if (value.kind !== 'ref') continue
    const text = (field === 'metadata' ? metadataTexts[value.type.name] : undefined) ?? result[value.type.name]?.['']
    if (text !== undefined) texts[field] ??= text
  }
writeFileSync(join(import.meta.dirname, '../src/generated/descriptions.json'), JSON.stringify(result))
console.log(`${Object.keys(result).length} of ${typeNames().length} types described`)
