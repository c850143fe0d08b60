import { overload, type Overload } from '../overload.ts'
import { dyn, simple, type CelType } from '../types.ts'
import { asString } from './arguments.ts'

const text = simple('string')

const jsonPatch: CelType = {
  kind: 'object',
  name: 'JSONPatch',
  fields: new Map<string, CelType>([
    ['op', text],
    ['from', text],
    ['path', text],
    ['value', dyn],
  ]),
}

/** The types that make patches: `JSONPatch`, and `Object` with whatever is below it, whose fields may be anything. Undefined for other names. */
export function patchType(name: string): CelType | undefined {
  if (name === 'JSONPatch') return jsonPatch
  return name === 'Object' || name.startsWith('Object.') ? { kind: 'object', name, fields: new Map(), isOpen: true } : undefined
}

/** What goes with them. */
export const patchFunctions: readonly Overload[] = [
  overload('string_jsonpatch_escapeKey_string jsonpatch.escapeKey(string) string', (a) =>
    asString(a).replaceAll('~', '~0').replaceAll('/', '~1'),
  ),
]
