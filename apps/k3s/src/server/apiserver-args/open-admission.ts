import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parsePodSecurityConfiguration, type BuiltInPartsOptions, type PodSecurityConfiguration } from '@k3s/apiserver'
import { parse } from 'yaml'
import { z } from 'zod'
import type { AdmissionArgs } from './arguments.ts'
import { readArgumentFile, usingFile } from './read-file.ts'

const name = 'admission-control-config-file'

const configuration = z.strictObject({
  apiVersion: z.enum(['apiserver.config.k8s.io/v1', 'apiserver.k8s.io/v1alpha1']),
  kind: z.literal('AdmissionConfiguration'),
  plugins: z.array(z.strictObject({ name: z.string(), path: z.string().optional(), configuration: z.unknown().optional() })).nullish(),
})

/** Reads what the arguments say of admission. Rejects with a UsageError for a file that is missing or wrong. */
export async function openAdmission({ configFile, ...given }: AdmissionArgs): Promise<NonNullable<BuiltInPartsOptions['admission']>> {
  if (configFile === undefined) return given
  return { ...given, podSecurity: await usingFile(name, configFile, () => readConfiguration(configFile)) }
}

function readConfiguration(file: string): PodSecurityConfiguration | undefined {
  const parsed = configuration.safeParse(parse(readArgumentFile(name, file)))
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new TypeError(`${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'is wrong'}`)
  }
  let podSecurity: PodSecurityConfiguration | undefined
  for (const [index, plugin] of (parsed.data.plugins ?? []).entries()) {
    const at = `plugins[${index}]`
    if (plugin.name !== 'PodSecurity') throw new TypeError(`${at}.name: "${plugin.name}" has no configuration here; PodSecurity has`)
    if (podSecurity !== undefined) throw new TypeError(`${at}.name: "${plugin.name}" is there twice`)
    if ((plugin.path ?? '') !== '' && plugin.configuration !== undefined)
      throw new TypeError(`${at}: path and configuration exclude each other`)
    // As upstream: a path is relative to the file that names it.
    const given = plugin.configuration ?? readFileSync(resolve(dirname(file), plugin.path ?? ''), 'utf8')
    try {
      podSecurity = parsePodSecurityConfiguration(given)
    } catch (error) {
      throw new TypeError(`${at}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    }
  }
  return podSecurity
}
