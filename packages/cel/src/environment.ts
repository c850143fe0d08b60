import { evaluateProgram, type Program } from './evaluator.ts'
import { check } from './checker.ts'
import { authorizerFunctions } from './functions/authorizer.ts'
import { formatLibrary, type Formats } from './functions/formats.ts'
import { listFunctions } from './functions/lists.ts'
import { networkFunctions } from './functions/network.ts'
import { patchFunctions, patchType } from './functions/patch.ts'
import { quantityFunctions } from './functions/quantity.ts'
import { semverFunctions } from './functions/semver.ts'
import { standardFunctions } from './functions/standard.ts'
import { stringFunctions } from './functions/strings.ts'
import { timeFunctions } from './functions/time.ts'
import { literalIssues } from './literals.ts'
import { CompileError } from './issues.ts'
import type { Overload } from './overload.ts'
import { parse } from './parser.ts'
import { dyn, listOf, mapOf, opaque, simple, type CelType } from './types.ts'

export interface EnvironmentOptions {
  readonly variables: Readonly<Record<string, CelType>>
  /** Named formats of strings: what is wrong with a text. */
  readonly formats?: Formats | undefined
  /** Names of object types that expressions may construct. */
  readonly types?: Readonly<Record<string, CelType>> | undefined
  /** Expressions may make patches: the types `Object`, `Object.a.b` and so on, and `JSONPatch`; and `jsonpatch.escapeKey`. */
  readonly makesPatches?: boolean | undefined
  /** `cel.bind(name, value, result)` gives a value a name. */
  readonly bindsNames?: boolean | undefined
}

const namedTypes: ReadonlyMap<string, CelType> = new Map<string, CelType>([
  ...(['bool', 'int', 'uint', 'double', 'string', 'bytes'] as const).map((kind) => [kind, simple(kind)] as const),
  ['null_type', simple('null')],
  ['list', listOf(dyn)],
  ['map', mapOf(dyn, dyn)],
  ['type', { kind: 'type', of: dyn }],
  ['google.protobuf.Timestamp', simple('timestamp')],
  ['google.protobuf.Duration', simple('duration')],
  ['optional_type', opaque('optional_type', dyn)],
  ...[
    'net.IP',
    'net.CIDR',
    'kubernetes.URL',
    'kubernetes.Quantity',
    'kubernetes.Semver',
    'kubernetes.NamedFormat',
    ...['Authorizer', 'PathCheck', 'GroupCheck', 'ResourceCheck', 'Decision'].map((name) => `kubernetes.authorization.${name}`),
  ].map((name) => [name, opaque(name)] as const),
])

/** All functions by name. */
function functionTable(overloads: readonly Overload[]): ReadonlyMap<string, readonly Overload[]> {
  return Map.groupBy(overloads, ({ name }) => name)
}

const library = functionTable([
  ...standardFunctions,
  ...timeFunctions,
  ...stringFunctions,
  ...listFunctions,
  ...networkFunctions,
  ...quantityFunctions,
  ...semverFunctions,
  ...authorizerFunctions,
])

const patchLibrary = functionTable(patchFunctions)

/** What expressions may use: variables, and the functions of CEL and of Kubernetes. */
export class Environment {
  readonly #options: EnvironmentOptions
  readonly #formats: ReadonlyMap<string, readonly Overload[]>

  constructor(options: EnvironmentOptions) {
    this.#options = options
    this.#formats = functionTable(formatLibrary(options.formats ?? {}))
  }

  /** Parses and checks an expression. Throws CompileError. */
  compile(source: string): Program {
    const checked = check(source, parse(source, this.#options), this)
    const issues = literalIssues(checked.expr)
    if (issues.length > 0) throw new CompileError(source, issues)
    return evaluateProgram(checked)
  }

  variable(name: string): CelType | undefined {
    return Object.hasOwn(this.#options.variables, name) ? this.#options.variables[name] : undefined
  }

  type(name: string): CelType | undefined {
    const { types = {}, makesPatches } = this.#options
    const known = namedTypes.get(name) ?? (Object.hasOwn(types, name) ? types[name] : undefined)
    return known ?? (makesPatches === true ? patchType(name) : undefined)
  }

  functions(name: string): readonly Overload[] {
    return library.get(name) ?? this.#formats.get(name) ?? (this.#options.makesPatches === true ? patchLibrary.get(name) : undefined) ?? []
  }
}
