import { UsageError } from '../../errors.ts'
import { apiServerArguments, type ArgumentName } from './table.ts'

/** `Cannot use "VALUE" for --kube-apiserver-arg=NAME: WHY` */
export const wrongArgument = (name: ArgumentName, value: string, why: string): UsageError =>
  new UsageError(`Cannot use "${value}" for --kube-apiserver-arg=${name}: ${why}`)

const unitMs: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Values of API server arguments, read by their kinds. Each throws a {@link UsageError} for a value that does not read so. */
export class ArgumentValues {
  readonly #texts = new Map<string, readonly string[]>()

  /** Takes `NAME=VALUE` arguments, with or without dashes; NAME alone is `NAME=true`. `NAME+=VALUE` adds to the default of a list. */
  constructor(args: readonly string[]) {
    for (const arg of args) {
      const [, given = '', value = 'true'] = /^(?:--)?([^=]*)(?:=(.*))?$/s.exec(arg) ?? []
      const name = given.replace(/[+-]$/, '')
      const known = apiServerArguments.find((one) => one.name === name)
      if (known === undefined)
        throw new UsageError(
          `Cannot use "${arg}" for --kube-apiserver-arg: there is no argument "${name}"; it takes ${apiServerArguments.map((one) => one.name).join(', ')}`,
        )
      const isAdded = given !== name && known.kind === 'list'
      const before = this.#texts.get(name) ?? (isAdded && 'default' in known ? [known.default] : [])
      this.#texts.set(name, given.endsWith('-') ? [value, ...before] : [...before, value])
    }
  }

  isGiven(name: ArgumentName): boolean {
    return this.#texts.has(name)
  }

  text(name: ArgumentName<'text'>): string | undefined {
    const text = this.#last(name)
    return text === '' ? undefined : text
  }

  oneOf<T extends string>(name: ArgumentName<'text'>, values: readonly T[]): T {
    const text = this.#last(name)
    const found = values.find((value) => value === text)
    if (found === undefined) throw wrongArgument(name, text, `${values.join(' or ')} is needed`)
    return found
  }

  /** Every value, of all that were given. */
  list(name: ArgumentName<'list'>): readonly string[] {
    const texts = this.#texts.get(name) ?? [defaultOf(name)]
    return texts.flatMap((text) => text.split(',')).filter((text) => text !== '')
  }

  count(name: ArgumentName<'count'>, { min = 0, max = 2 ** 31 - 1 }: { readonly min?: number; readonly max?: number } = {}): number {
    const text = this.#last(name)
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw wrongArgument(
        name,
        text,
        max === 2 ** 31 - 1 && min === 0 ? 'a whole number is needed' : `a whole number from ${min} to ${max} is needed`,
      )
    return value
  }

  boolean(name: ArgumentName<'boolean'>): boolean {
    const text = this.#last(name)
    if (/^(?:1|t|true)$/i.test(text)) return true
    if (/^(?:0|f|false)$/i.test(text)) return false
    throw wrongArgument(name, text, 'true or false is needed')
  }

  /** Milliseconds. */
  duration(
    name: ArgumentName<'duration'>,
    { minMs = 0, maxMs = Infinity }: { readonly minMs?: number; readonly maxMs?: number } = {},
  ): number {
    const text = this.#last(name)
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
    if (text !== '0' && (parts.length === 0 || parts.map(([part]) => part).join('') !== text))
      throw wrongArgument(name, text, 'a duration such as 90s or 1m30s is needed')
    const ms = parts.reduce((sum, [, value, unit = '']) => sum + Number(value) * (unitMs[unit] ?? 0), 0)
    if (ms < minMs || ms > maxMs)
      throw wrongArgument(
        name,
        text,
        maxMs === Infinity ? `at least ${minMs / 1000}s is needed` : `${minMs / 1000}s to ${maxMs / 1000}s is needed`,
      )
    return ms
  }

  fraction(name: ArgumentName<'fraction'>, max: number): number {
    const text = this.#last(name)
    const value = Number(text)
    if (!/^\d+(?:\.\d+)?$/.test(text) || value > max) throw wrongArgument(name, text, `a number from 0 to ${max} is needed`)
    return value
  }

  #last(name: ArgumentName): string {
    return this.#texts.get(name)?.at(-1) ?? defaultOf(name)
  }
}

function defaultOf(name: ArgumentName): string {
  const known = apiServerArguments.find((one) => one.name === name)
  return known !== undefined && 'default' in known ? known.default : ''
}
