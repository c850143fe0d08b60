import { parse as parseYaml } from 'yaml'
import { z } from 'zod'
import type { Registries } from '@k3s/kubelet'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'

const text = z.string().optional()
const schema = z.object({
  mirrors: z
    .record(
      z.string(),
      z.object({ endpoint: z.array(z.string()).optional(), rewrite: z.record(z.string(), z.string()).optional() }).nullable(),
    )
    .nullish(),
  configs: z
    .record(
      z.string(),
      z.object({
        auth: z.object({ username: text, password: text, auth: text, identity_token: text }).optional(),
        tls: z.object({ ca_file: text, cert_file: text, key_file: text, insecure_skip_verify: z.boolean().optional() }).optional(),
      }),
    )
    .nullish(),
})

/** Reads K3s's `registries.yaml`; undefined when there is none. Throws a {@link UsageError} that names the file and the key. */
export function readRegistries(file: string): Registries | undefined {
  const content = readIfThere(file)
  if (content === undefined) return undefined
  let document: unknown
  try {
    document = parseYaml(content) ?? {}
  } catch (error) {
    throw new UsageError(
      `Cannot read registry configuration "${file}": ${error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)}`,
    )
  }
  const parsed = schema.safeParse(document)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw new UsageError(`Cannot read registry configuration "${file}": ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`)
  }
  return { mirrors: parsed.data.mirrors ?? {}, configs: parsed.data.configs ?? {} }
}
