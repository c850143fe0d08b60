import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseProto } from '../scripts/parse-proto.ts'
import { renderSchema, renderTypes } from '../scripts/render.ts'

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8')

test('the generated files are those of the proto file', () => {
  const file = parseProto(read('../proto/cri.proto'))
  expect(read('../src/generated/types.ts') === renderTypes(file)).toBe(true)
  expect(read('../src/generated/schema.ts') === renderSchema(file)).toBe(true)
})
