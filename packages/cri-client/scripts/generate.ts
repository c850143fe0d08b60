/** Writes `src/generated/` from `proto/cri.proto`: `node scripts/generate.ts`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseProto } from './parse-proto.ts'
import { renderSchema, renderTypes } from './render.ts'

const root = new URL('../', import.meta.url)
const file = parseProto(readFileSync(new URL('proto/cri.proto', root), 'utf8'))
writeFileSync(new URL('src/generated/types.ts', root), renderTypes(file))
writeFileSync(new URL('src/generated/schema.ts', root), renderSchema(file))
