import { canonical } from './canonical-json.ts'
import { RE2JS } from 're2js'
import { equalJson, isObject } from '../../json.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalidValue, notSupported, required, tooLong, tooMany } from '../../validation/field-error.ts'
import type { Correlation } from './correlation.ts'
import { effectiveFormat, hasFormat } from './formats.ts'
import { additionalOf, isIntOrString, itemsOf, own, path, propertiesOf, type Schema } from './schema.ts'

/** What was found wrong at one place, in upstream's words. */
type Problem =
  | {
      readonly kind: 'required' | 'enum' | 'length' | 'items' | 'properties' | 'type' | 'other'
      readonly at: string
      readonly message: string
      readonly value: unknown
      readonly limit: number
      readonly allowed: readonly unknown[]
    }
  /** Of no one field. */
  | { readonly kind: 'composite'; readonly message: string }

/** What a check found, and how much of the value fitted: among alternatives the best one tells what is wrong. */
class Findings {
  readonly problems: Problem[] = []
  matches = 0

  get isValid(): boolean {
    return this.problems.length === 0
  }

  add(...problems: readonly Problem[]): void {
    for (const problem of problems) if (!this.problems.some(({ message }) => message === problem.message)) this.problems.push(problem)
  }

  merge(other: Findings | undefined): void {
    if (other === undefined) return
    this.add(...other.problems)
    this.matches += other.matches
  }
}

type SchemaTypes = readonly string[]

/** Checks values against a schema; follows kube-openapi's validator. What a schema needs (regular expressions, its parts) is made when it is first used. */
export class ValueValidator {
  readonly #schema: Schema
  readonly #types: SchemaTypes
  readonly #format: string
  readonly #properties = new Map<string, ValueValidator>()
  #pattern: { readonly matches: (text: string) => boolean } | { readonly error: string } | undefined
  #parts: { readonly [K in 'allOf' | 'oneOf' | 'anyOf']: readonly ValueValidator[] } | undefined
  #negated: ValueValidator | undefined
  #items: ValueValidator | undefined
  #additional: ValueValidator | undefined

  constructor(schema: Schema) {
    this.#schema = schema
    const { type } = schema
    this.#types = isIntOrString(schema) ? ['integer', 'string'] : type === undefined || type === '' ? [] : [type]
    this.#format = effectiveFormat(
      this.#types.length === 1 ? this.#types[0] : this.#types.length === 0 ? undefined : 'union',
      schema.format,
    )
  }

  /** Problems of a value. With `correlation` those of parts that did not change are tolerated. `at` is where errors are reported; messages name places below it. */
  validate(
    value: unknown,
    options: { readonly at?: string | undefined; readonly correlation?: Correlation | undefined } = {},
  ): FieldError[] {
    return this.#tolerant(value, '', options.correlation).problems.map((problem) => fieldErrorOf(problem, options.at ?? ''))
  }

  #tolerant(value: unknown, at: string, correlation: Correlation | undefined): Findings {
    const findings = this.#check(value, at, correlation)
    if (findings.isValid || correlation?.isUnchanged !== true) return findings
    const tolerated = new Findings()
    tolerated.matches = findings.matches
    return tolerated
  }

  #check(value: unknown, at: string, correlation: Correlation | undefined): Findings {
    const findings = new Findings()
    if (value === null || value === undefined) {
      if (this.#types.length > 0 && this.#schema.nullable !== true) findings.add(wrongType(at, this.#types.join(','), 'null'))
      findings.merge(this.#enum(null, at))
      return findings
    }
    const run = (result: Findings | undefined): void => {
      findings.merge(result)
      findings.matches++
    }
    if (this.#types.length > 0 || this.#format !== '') run(this.#type(value, at))
    run(this.#combinations(value, at, correlation))
    if (typeof value === 'string') {
      run(this.#string(value, at))
      if (this.#format !== '') run(this.#formatOf(value, at))
    }
    if (typeof value === 'number') run(this.#number(value, at))
    if (Array.isArray(value)) run(this.#list(value, at, correlation))
    run(this.#enum(value, at))
    if (isObject(value)) run(this.#object(value, at, correlation))
    findings.matches++
    return findings
  }

  #type(value: unknown, at: string): Findings {
    const findings = new Findings()
    const type = jsonType(value)
    const isText = type === 'string' || type === 'array'
    const has = (name: string): boolean => this.#types.includes(name)
    const fits = has(type) || (type === 'integer' && has('number'))
    if (!isText && this.#format !== '' && !fits) {
      findings.add(wrongType(at, this.#format, type === 'integer' ? 'int64' : type === 'number' ? 'float64' : ''))
      return findings
    }
    if ((!has('number') && !has('integer') && this.#format !== '' && isText) || fits || this.#types.length === 0) findings.matches++
    else findings.add(wrongType(at, this.#types.join(','), type))
    return findings
  }

  #combinations(value: unknown, at: string, correlation: Correlation | undefined): Findings {
    const findings = new Findings()
    const { allOf, anyOf, oneOf } = (this.#parts ??= {
      allOf: (this.#schema.allOf ?? []).map((schema) => new ValueValidator(schema)),
      anyOf: (this.#schema.anyOf ?? []).map((schema) => new ValueValidator(schema)),
      oneOf: (this.#schema.oneOf ?? []).map((schema) => new ValueValidator(schema)),
    })
    if (anyOf.length > 0) {
      const { best, valid } = alternatives(
        anyOf.values().map((part) => part.#check(value, at, correlation)),
        true,
      )
      if (valid === 0) findings.add(composite(`${JSON.stringify(at)} must validate at least one schema (anyOf)`))
      findings.merge(best)
    }
    if (oneOf.length > 0) {
      const { best, valid } = alternatives(
        oneOf.values().map((part) => part.#check(value, at, correlation)),
        false,
      )
      if (valid !== 1) {
        const found = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`
        findings.add(composite(`${JSON.stringify(at)} must validate one and only one schema (oneOf). ${found}`))
      }
      if (valid <= 1) findings.merge(best)
    }
    if (allOf.length > 0) {
      let valid = 0
      for (const part of allOf) {
        const result = part.#check(value, at, correlation)
        if (result.isValid) valid++
        findings.merge(result)
      }
      if (valid < allOf.length)
        findings.add(composite(`${JSON.stringify(at)} must validate all the schemas (allOf)${valid === 0 ? '. None validated' : ''}`))
    }
    if (this.#schema.not !== undefined) {
      const negated = (this.#negated ??= new ValueValidator(this.#schema.not))
      if (negated.#check(value, at, correlation).isValid)
        findings.add(composite(`${JSON.stringify(at)} must not validate the schema (not)`))
    }
    findings.matches++
    return findings
  }

  /** The first problem of a string is enough. */
  #string(value: string, at: string): Findings | undefined {
    const { maxLength, minLength, pattern } = this.#schema
    const findings = new Findings()
    if (maxLength !== undefined && runeCount(value) > maxLength)
      findings.add(problem('length', at, `should be at most ${maxLength} chars long`, value, { limit: maxLength }))
    else if (minLength !== undefined && runeCount(value) < minLength)
      findings.add(problem('other', at, `should be at least ${minLength} chars long`, value))
    else if (pattern !== undefined && pattern !== '') {
      this.#pattern ??= compilePattern(pattern)
      if ('error' in this.#pattern)
        findings.add(problem('other', at, `should match '${pattern}, but pattern is invalid: ${this.#pattern.error}'`, value))
      else if (!this.#pattern.matches(value)) findings.add(problem('other', at, `should match '${pattern}'`, value))
    }
    return findings.isValid ? undefined : findings
  }

  #formatOf(value: string, at: string): Findings | undefined {
    if (hasFormat(this.#format, value)) return undefined
    const findings = new Findings()
    findings.add(wrongType(at, this.#format, value))
    return findings
  }

  #number(value: number, at: string): Findings {
    const findings = new Findings()
    const { multipleOf, maximum, exclusiveMaximum = false, minimum, exclusiveMinimum = false } = this.#schema
    const [only] = this.#types.length === 1 ? this.#types : []
    const most = this.#format === 'int32' ? 2147483647 : 2 ** 63
    if (only === 'integer' && (!Number.isInteger(value) || value > most || value < -most - 1)) {
      const format = this.#format === '' ? '(default format)' : `with format ${this.#format}`
      findings.add(composite(`Checked value must be of type integer ${format} in ${at}`))
    }
    if (only === 'number' && this.#format === 'float' && Math.abs(value) > 3.4028234663852886e38)
      findings.add(composite(`Checked value must be of type number with format float in ${at}`))
    if (multipleOf !== undefined) {
      if (multipleOf <= 0)
        findings.add(
          problem('other', at, '', multipleOf, { whole: `factor MultipleOf declared for ${at} must be positive: ${multipleOf}` }),
        )
      else if (!isWhole(multipleOf < 1 ? (1 / multipleOf) * value : value / multipleOf))
        findings.add(problem('other', at, `should be a multiple of ${goNumber(multipleOf)}`, value))
    }
    if (maximum !== undefined && (exclusiveMaximum ? value >= maximum : value > maximum))
      findings.add(problem('other', at, `should be less than ${exclusiveMaximum ? '' : 'or equal to '}${goNumber(maximum)}`, value))
    if (minimum !== undefined && (exclusiveMinimum ? value <= minimum : value < minimum))
      findings.add(problem('other', at, `should be greater than ${exclusiveMinimum ? '' : 'or equal to '}${goNumber(minimum)}`, value))
    findings.matches++
    return findings
  }

  #list(value: readonly unknown[], at: string, correlation: Correlation | undefined): Findings {
    const findings = new Findings()
    const { maxItems, minItems, uniqueItems } = this.#schema
    const items = itemsOf(this.#schema)
    if (items !== undefined) {
      const validator = (this.#items ??= new ValueValidator(items))
      for (const [index, item] of value.entries())
        findings.merge(validator.#tolerant(item, path.index(at, index), correlation?.index(index)))
    }
    if (minItems !== undefined && value.length < minItems)
      findings.add(problem('other', at, `should have at least ${minItems} items`, value.length))
    if (maxItems !== undefined && value.length > maxItems)
      findings.add(problem('items', at, `should have at most ${maxItems} items`, value.length, { limit: maxItems }))
    if (uniqueItems === true && value.some((item, index) => value.slice(0, index).some((other) => equalJson(item, other))))
      findings.add(problem('other', at, `shouldn't contain duplicates`, undefined))
    findings.matches++
    return findings
  }

  #enum(value: unknown, at: string): Findings | undefined {
    const { enum: allowed } = this.#schema
    if (allowed === undefined || allowed.length === 0 || allowed.some((one) => equalJson(one, value))) return undefined
    const findings = new Findings()
    const list = `[${allowed.map(goValue).join(' ')}]`
    findings.add(problem('enum', at, `should be one of ${list}`, value, { allowed }))
    return findings
  }

  #object(value: Readonly<Record<string, unknown>>, at: string, correlation: Correlation | undefined): Findings {
    const findings = new Findings()
    const { minProperties, maxProperties, required: names = [] } = this.#schema
    const count = Object.keys(value).length
    if (minProperties !== undefined && count < minProperties)
      findings.add(problem('other', at, `should have at least ${minProperties} properties`, count))
    if (maxProperties !== undefined && count > maxProperties)
      findings.add(problem('properties', at, `should have at most ${maxProperties} properties`, count, { limit: maxProperties }))
    const childOf = (name: string): Correlation | undefined =>
      at === '' && (name === 'kind' || name === 'apiVersion') ? undefined : correlation?.key(name)
    const additional = additionalOf(this.#schema)
    if (this.#schema.additionalProperties === false) {
      for (const name of Object.keys(value))
        if (own(this.#schema.properties, name) === undefined)
          findings.add(problem('other', at, '', name, { whole: `${at}.${name} in body is a forbidden property` }))
    } else if (additional !== undefined) {
      const validator = (this.#additional ??= new ValueValidator(additional))
      for (const name of Object.keys(value).toSorted())
        if (own(this.#schema.properties, name) === undefined)
          findings.merge(validator.#tolerant(value[name], `${at}.${name}`, childOf(name)))
    }
    for (const [name, schema] of propertiesOf(this.#schema)) {
      if (!Object.hasOwn(value, name)) continue
      let validator = this.#properties.get(name)
      if (validator === undefined) this.#properties.set(name, (validator = new ValueValidator(schema)))
      findings.merge(validator.#tolerant(value[name], at === '' ? name : `${at}.${name}`, childOf(name)))
    }
    for (const name of names) if (!Object.hasOwn(value, name)) findings.add(problem('required', `${at}.${name}`, 'is required', undefined))
    return findings
  }
}

/** The best of some alternatives: the first that is valid, else the one that fits most. */
function alternatives(results: Iterable<Findings>, stopsAtFirst: boolean): { readonly best: Findings | undefined; readonly valid: number } {
  let best: Findings | undefined
  let valid = 0
  for (const result of results) {
    if (result.isValid) {
      valid++
      if (valid === 1) best = result
      if (stopsAtFirst) break
    } else if (valid === 0 && (best === undefined || result.matches > best.matches)) best = result
  }
  return { best, valid }
}

function compilePattern(pattern: string): { readonly matches: (text: string) => boolean } | { readonly error: string } {
  try {
    const compiled = RE2JS.compile(pattern)
    return { matches: (text) => compiled.matcher(text).find() }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

const composite = (message: string): Problem => ({ kind: 'composite', message })

function problem(
  kind: Exclude<Problem['kind'], 'composite'>,
  at: string,
  what: string,
  value: unknown,
  extra: { readonly limit?: number; readonly allowed?: readonly unknown[]; readonly whole?: string } = {},
): Problem {
  return { kind, at, message: extra.whole ?? `${at} in body ${what}`, value, limit: extra.limit ?? -1, allowed: extra.allowed ?? [] }
}

function wrongType(at: string, type: string, value: string): Problem {
  return problem('type', at, `must be of type ${type}: ${JSON.stringify(value)}`, value)
}

function fieldErrorOf(found: Problem, base: string): FieldError {
  if (found.kind === 'composite') return invalidValue(path.show(base), '', found.message)
  const name = found.at.replace(/^\./, '')
  const field = path.show(name === '' ? base : path.child(base, name))
  const { limit, allowed } = found
  const value = found.value === undefined ? '' : canonical(found.value)
  switch (found.kind) {
    case 'required':
      return required(field)
    case 'enum':
      return notSupported(
        field,
        value,
        allowed.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))),
      )
    case 'length':
      return tooLong(field, limit)
    case 'items':
    case 'properties':
      return tooMany(field, typeof value === 'number' ? value : -1, limit)
    case 'type':
      return { ...invalidValue(field, value, found.message), reason: 'FieldValueTypeInvalid' }
    default:
      return invalidValue(field, value, found.message)
  }
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return isWhole(value) ? 'integer' : 'number'
  return typeof value
}

const isWhole = (value: number): boolean => Number.isInteger(value)

/** Characters as Go counts them: code points. */
export function runeCount(text: string): number {
  let count = 0
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    // The second half of a pair was counted with the first.
    if (code < 0xdc00 || code > 0xdfff || index === 0 || (text.charCodeAt(index - 1) & 0xfc00) !== 0xd800) count++
  }
  return count
}

/** A number as Go's `%v` prints it. */
function goNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e21) return String(value)
  const [mantissa = '', exponent] = value.toExponential().split('e')
  const power = Number(exponent)
  return power < -4 || power >= 21 ? `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}` : String(value)
}

function goValue(value: unknown): string {
  if (value === null || value === undefined) return '<nil>'
  if (typeof value === 'string') return value
  if (typeof value === 'number') return goNumber(value)
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
