import { one } from '../costs.ts'
import { overload, type Overload } from '../overload.ts'
import { EvaluationError, ListValue, none, Opaque, Optional, sizeOf, type Value } from '../values.ts'
import { asString } from './arguments.ts'

/** Named formats of strings: what is wrong with a text; nothing when it has the format. */
export type Formats = Readonly<Record<string, (text: string) => readonly string[]>>

// As upstream counts a format's regular expression.
const patternCost = 25

function nameOf(value: Value | undefined): string {
  if (!(value instanceof Opaque) || value.typeName !== 'kubernetes.NamedFormat') throw new EvaluationError('no such overload')
  return value.content as string // made below
}

/** Named formats: `format.dns1123Label().validate(x)` gives what is wrong, if anything. */
export function formatLibrary(formats: Formats): readonly Overload[] {
  const make = (name: string): Opaque => new Opaque('kubernetes.NamedFormat', name, { equals: (other) => other === name })
  return [
    ...Object.keys(formats).map((name) => overload(`format_${name} format.${name}() kubernetes.NamedFormat`, () => make(name))),
    overload(
      'format_named format.named(string) optional(kubernetes.NamedFormat)',
      (a) => (Object.hasOwn(formats, asString(a)) ? new Optional(make(asString(a))) : none),
      one,
    ),
    overload(
      'format_validate on kubernetes.NamedFormat.validate(string) optional(list(string))',
      (a, b) => {
        const problems = formats[nameOf(a)]?.(asString(b)) ?? []
        return problems.length === 0 ? none : new Optional(new ListValue([...problems]))
      },
      (args) => Math.ceil((1 + sizeOf(args[1] ?? null)) * 0.1) * patternCost,
    ),
  ]
}
