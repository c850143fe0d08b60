import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import { UsageError } from '../errors.ts'
import type { Flag } from './flags.ts'

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()])
const schema = z.record(z.string(), z.union([scalar, z.array(scalar)])).nullable()

/** Values by flag name, as text; a list for repeated flags. */
export type ConfigValues = ReadonlyMap<string, readonly string[]>

export interface ConfigFile {
  readonly values: ConfigValues
  /** Keys that no flag of this program has. */
  readonly unknown: readonly string[]
}

function read(file: string, isRequired: boolean): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException // readFileSync throws nothing else
    if (code === 'ENOENT' && !isRequired) return undefined
    throw new UsageError(`Cannot read configuration file "${file}": ${code === 'ENOENT' ? 'it does not exist' : String(code)}`)
  }
}

function dropIns(file: string): readonly string[] {
  try {
    return readdirSync(`${file}.d`)
      .filter((name) => name.endsWith('.yaml') || name.endsWith('.yml'))
      .toSorted()
      .map((name) => join(`${file}.d`, name))
  } catch {
    return [] // no drop-in folder
  }
}

/**
 * Reads a configuration file and its drop-ins (`FILE.d/*.yaml`, in order of their names). The last value of a key wins;
 * a key with a trailing `+` appends to what came before. Follows k3s-io/k3s's configfilearg: keys are flag names.
 *
 * @param isRequired false: a missing file is an empty one.
 * Throws a {@link UsageError} that names the file, and the line when the YAML is broken.
 */
export function readConfigFile(file: string, known: readonly Flag[], isRequired: boolean): ConfigFile {
  const names = new Map<string, string>()
  for (const flag of known) {
    names.set(flag.name, flag.name)
    if (flag.short !== undefined) names.set(flag.short, flag.name)
  }
  const values = new Map<string, readonly string[]>()
  const unknown: string[] = []
  for (const path of [file, ...dropIns(file)]) {
    const text = read(path, isRequired && path === file)
    if (text === undefined) continue
    let document: unknown
    try {
      document = parseYaml(text, { version: '1.1' }) ?? null
    } catch (error) {
      const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
      throw new UsageError(`Cannot read configuration file "${path}": ${why.replace(/:$/, '')}`)
    }
    const parsed = schema.safeParse(document)
    if (!parsed.success) {
      const issue = parsed.error.issues[0]
      const where =
        issue === undefined || issue.path.length === 0
          ? 'it must be a mapping of flag names to values'
          : `the value of "${issue.path.join('.')}" must be a text, number, boolean or a list of these`
      throw new UsageError(`Cannot read configuration file "${path}": ${where}`)
    }
    for (const [key, value] of Object.entries(parsed.data ?? {})) {
      const isAppended = key.endsWith('+')
      const name = names.get(isAppended ? key.slice(0, -1) : key)
      if (name === undefined) {
        unknown.push(key)
        continue
      }
      const list = (Array.isArray(value) ? value : [value]).filter((item) => item !== null).map(String)
      values.set(name, isAppended ? [...(values.get(name) ?? []), ...list] : list)
    }
  }
  return { values, unknown }
}
