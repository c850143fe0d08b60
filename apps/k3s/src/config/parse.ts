import { Command, CommanderError, Option } from 'commander'
import { UsageError } from '../errors.ts'
import { readConfigFile } from './config-file.ts'
import { flags as allFlags, flagsOf, type Flag, type FlagCommand } from './flags.ts'

/** Values by flag name: what the command line, the configuration file, the environment and the defaults make together. */
export interface FlagValues {
  string(name: string): string | undefined
  integer(name: string): number | undefined
  boolean(name: string): boolean
  list(name: string): readonly string[]
}

export interface ParsedFlags {
  readonly values: FlagValues
  /** One sentence each, to be logged when logging stands. */
  readonly warnings: readonly string[]
}

type Value = string | number | boolean | readonly string[] | undefined
type Environment = Readonly<Record<string, string | undefined>>

const toInteger = (flag: Flag, text: string): number => {
  if (!/^-?\d+$/.test(text)) throw new UsageError(`Cannot use "${text}" for --${flag.name}: an integer is needed`)
  return Number(text)
}

const toBoolean = (flag: Flag, text: string): boolean => {
  if (/^(1|t|true)$/i.test(text)) return true
  if (/^(0|f|false)$/i.test(text)) return false
  throw new UsageError(`Cannot use "${text}" for --${flag.name}: true or false is needed`)
}

/** Texts from one source to the flag's value. A list takes commas as well as repetition, as K3s's string slices do, unless its values have commas themselves. */
function convert(flag: Flag, texts: readonly string[]): Value {
  const last = texts.at(-1) ?? ''
  switch (flag.type) {
    case 'string':
      return last
    case 'integer':
      return toInteger(flag, last)
    case 'boolean':
      return toBoolean(flag, last)
    case 'list':
      return texts.flatMap((text) => (flag.keepsCommas === true ? [text] : text.split(','))).filter((text) => text !== '')
  }
}

function optionOf(flag: Flag): Option {
  const short = flag.short === undefined ? '' : `-${flag.short}, `
  const argument =
    flag.type === 'boolean' ? ' [value]' : flag.type === 'list' ? ' <value>' : ` <${flag.type === 'integer' ? 'number' : 'value'}>`
  const notes = [
    flag.env === undefined ? '' : `env ${flag.env}`,
    flag.default === undefined || flag.default === false ? '' : `default ${flag.default}`,
    flag.unsupported === undefined ? '' : 'not supported yet',
  ].filter((note) => note !== '')
  const option = new Option(`${short}--${flag.name}${argument}`, `${flag.help}${notes.length === 0 ? '' : ` (${notes.join('; ')})`}`)
  return option
    .argParser((text: string, previous: readonly string[] | undefined) => [...(previous ?? []), text])
    .helpGroup(`${flag.group[0]?.toUpperCase()}${flag.group.slice(1)}:`)
}

/** A commander command that understands the flags of one of the table's commands; values of the command line are lists of texts. */
export function buildCommand(name: string, description: string, flagsFor: FlagCommand): Command {
  const command = new Command(name).description(description).allowExcessArguments(false).showSuggestionAfterError()
  for (const flag of flagsOf(flagsFor)) command.addOption(optionOf(flag))
  return command
}

/** Parts an unknown flag from its value, so that what commander says of it names the flag alone and suggests the right one. */
export function splitUnknown(args: readonly string[]): readonly string[] {
  const known = new Set(allFlags.map(({ name }) => name))
  return args.flatMap((arg) => {
    const [, name = '', value = ''] = /^--([^=]+)=(.*)$/s.exec(arg) ?? []
    return name === '' || known.has(name) ? [arg] : [`--${name}`, value]
  })
}

/** Turns commander's complaints into one sentence. */
export function usageErrorOf(error: CommanderError): UsageError {
  const text = error.message.replace(/^error: /, '').replace(/\n/g, ' ')
  return new UsageError(`${text.charAt(0).toUpperCase()}${text.slice(1)}`)
}

/** Joins what commander read with the configuration file, the environment and the defaults. Precedence in this order. */
export function resolveFlags(name: FlagCommand, given: Readonly<Record<string, unknown>>, env: Environment): ParsedFlags {
  const known = flagsOf(name)
  const fromLine = (flag: Flag): readonly string[] | undefined => {
    const key = flag.name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())
    const value = given[key]
    if (value === true) return ['true']
    return Array.isArray(value) ? value.map((item) => (item === true ? 'true' : String(item))) : undefined
  }
  const configFlag = known.find((flag) => flag.name === 'config')
  const configGiven = configFlag === undefined ? undefined : (fromLine(configFlag)?.at(-1) ?? env[configFlag.env ?? ''])
  const file = readConfigFile(configGiven ?? String(configFlag?.default), allFlags, configGiven !== undefined)
  const values = new Map<string, Value>()
  for (const flag of known) {
    const fromEnv = flag.env === undefined ? undefined : env[flag.env]
    const texts = fromLine(flag) ?? file.values.get(flag.name) ?? (fromEnv === undefined || fromEnv === '' ? undefined : [fromEnv])
    const value = texts === undefined ? flag.default : convert(flag, texts)
    if (flag.unsupported !== undefined && value !== undefined && value !== false)
      throw new UsageError(`Cannot use --${flag.name}: ${flag.unsupported}`)
    values.set(flag.name, value)
  }
  const at = (flag: string): Value => {
    if (!known.some(({ name: other }) => other === flag)) throw new Error(`No flag "${flag}"`)
    return values.get(flag)
  }
  return {
    warnings: file.unknown.map((key) => `Configuration file: key "${key}" is not known and was skipped`),
    values: {
      string: (flag) => {
        const value = at(flag)
        return value === undefined || value === '' ? undefined : String(value)
      },
      integer: (flag) => {
        const value = at(flag)
        return value === undefined ? undefined : Number(value)
      },
      boolean: (flag) => at(flag) === true,
      list: (flag) => {
        const value = at(flag)
        return Array.isArray(value) ? (value as readonly string[]) : [] // lists hold texts only
      },
    },
  }
}
