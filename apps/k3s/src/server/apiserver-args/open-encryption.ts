import { EncryptionAtRest } from '@k3s/apiserver'
import type { Logger } from '@k3s/lifecycle'
import { followFile, readArgumentFile, usingFile } from './read-file.ts'

const name = 'encryption-provider-config'

/** The encryption that `encryption-provider-config` names, which follows changes of the file; undefined without it. Rejects with a UsageError. */
export async function openEncryptionConfig(
  file: string | undefined,
  { logger, stack }: { readonly logger: Logger; readonly stack: AsyncDisposableStack },
): Promise<EncryptionAtRest | undefined> {
  if (file === undefined) return undefined
  const encryption = await usingFile(name, file, () => new EncryptionAtRest(readArgumentFile(name, file)))
  followFile(name, file, { use: (text) => encryption.replace(text), logger, stack })
  return encryption
}
