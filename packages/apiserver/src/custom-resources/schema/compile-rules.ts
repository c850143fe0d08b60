import { CompileError, Environment, optionalOf, type CelType, type CostRange, type Formats, type Program } from '@k3s/cel'
import { dns1035Label, dns1123Label, dns1123Subdomain, labelValue, maskTrailingDash, qualifiedName } from '../../validation/names.ts'
import type { DeclType } from './decl-type.ts'
import { hasFormat } from './formats.ts'
import { validFieldPath } from './json-path.ts'
import type { Schema } from './schema.ts'

/** One rule, compiled. */
export interface CompiledRule {
  readonly rule: NonNullable<Schema['x-kubernetes-validations']>[number]
  /** Why it cannot run. */
  readonly problem: string | undefined
  readonly program: Program | undefined
  readonly message: Program | undefined
  readonly messageProblem: string | undefined
  readonly usesOldSelf: boolean
  /** Most that it costs once. */
  readonly maxCost: number
  readonly maxMessageCost: number
  /** Where its errors are reported, below the value; empty for the value itself. */
  readonly fieldPath: string
}

const single = (is: (text: string) => boolean, problem: string) => (text: string) => (is(text) ? [] : [problem])
const formatOf = (name: string, problem: string): ((text: string) => readonly string[]) => single((text) => hasFormat(name, text), problem)

/** The named formats of strings that all expressions know. */
export const formats: Formats = {
  dns1123Label,
  dns1123Subdomain,
  dns1035Label,
  qualifiedName,
  dns1123LabelPrefix: (text) => dns1123Label(maskTrailingDash(text)),
  dns1123SubdomainPrefix: (text) => dns1123Subdomain(maskTrailingDash(text)),
  dns1035LabelPrefix: (text) => dns1035Label(maskTrailingDash(text)),
  labelValue,
  uri: formatOf('uri', 'invalid URI'),
  uuid: formatOf('uuid', 'does not match the UUID format'),
  byte: formatOf('byte', 'invalid base64'),
  date: formatOf('date', 'invalid date'),
  datetime: formatOf('datetime', 'invalid datetime'),
}

/** Compiles the rules of one place of a schema. `costs` asks for their worst costs, too. */
export function compileRules(schema: Schema, declared: DeclType, options: { readonly costs: boolean }): CompiledRule[] {
  const self = nameless(declared.type)
  return (schema['x-kubernetes-validations'] ?? []).map((rule) => {
    const oldSelf = rule.optionalOldSelf === true ? optionalOf(self) : self
    const environment = new Environment({ variables: { self, oldSelf }, formats })
    const compiled = compile(environment, rule.rule, 'bool')
    const message = (rule.messageExpression ?? '') === '' ? undefined : compile(environment, rule.messageExpression ?? '', 'string')
    const path = (rule.fieldPath ?? '') === '' ? undefined : validFieldPath(rule.fieldPath ?? '', schema, { allowsBrackets: true })
    const cost = (program: Program | undefined): number =>
      options.costs ? (program?.estimate((where) => sizeAt(declared, where)).max ?? 0) : 0
    const program = typeof compiled === 'string' ? undefined : compiled
    const messageProgram = typeof message === 'string' ? undefined : message
    return {
      rule,
      problem: typeof compiled === 'string' ? compiled : undefined,
      program,
      message: messageProgram,
      messageProblem:
        typeof message === 'string'
          ? `message${message.startsWith('cel expression') ? 'Expression must evaluate to a string' : `Expression ${message}`}`
          : undefined,
      usesOldSelf: program?.variables.has('oldSelf') === true,
      maxCost: cost(program),
      maxMessageCost: cost(messageProgram),
      fieldPath: path === undefined || typeof path === 'string' ? '' : path.field,
    }
  })
}

/** Authors must not depend on the name of the type of `self`. */
const nameless = (type: CelType): CelType => (type.kind === 'object' ? { ...type, name: 'selfType' } : type)

function compile(environment: Environment, source: string, wanted: 'bool' | 'string'): Program | string {
  try {
    const program = environment.compile(source)
    if (program.type.kind === wanted) return program
    return wanted === 'bool' ? 'cel expression must evaluate to a bool' : 'cel expression must evaluate to a string'
  } catch (error) {
    if (error instanceof CompileError) return `compilation failed: ${error.message}`
    throw error
  }
}

/** How large the value at a path from `self` may be. */
function sizeAt(root: DeclType, path: readonly string[]): CostRange | undefined {
  let at: DeclType | undefined = root
  for (const name of path.slice(1)) {
    if (name === '@items' || name === '@values') at = at.element
    // As upstream, which knows no length of keys and counts none.
    else if (name === '@keys') return { min: 0, max: 0 }
    else at = at.fields.get(name)
    if (at === undefined) return undefined
  }
  return { min: 0, max: at.maxElements }
}
