import { readFile } from 'node:fs/promises'
import type { ConnectionOptions } from 'node:tls'
import type { ServerDsn } from '../../dsn.ts'
import { DatastoreError } from '../../errors.ts'

const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const

/** How connections are encrypted, as libpq has it. */
export interface PostgresTls {
  readonly mode: (typeof modes)[number]
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
}

export interface TlsFiles {
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
}

/** What the DSN's `sslmode`, `sslrootcert`, `sslcert` and `sslkey` ask for; files given beside it count as if they were there. With any file the default mode is `verify-full`. */
export function tlsOf({ address, parameters }: ServerDsn, files: TlsFiles): PostgresTls {
  const caFile = parameters['sslrootcert'] ?? files.caFile
  const [certFile, keyFile] = [parameters['sslcert'] ?? files.certFile, parameters['sslkey'] ?? files.keyFile]
  const hasFile = [caFile, certFile, keyFile].some((file) => file !== undefined && file !== '')
  const name = parameters['sslmode'] ?? (hasFile ? 'verify-full' : 'prefer')
  const mode = modes.find((known) => known === name)
  if (mode === undefined)
    throw new DatastoreError('InvalidDsn', `Invalid datastore endpoint: "${name}" is not an sslmode`, {
      hint: `Use one of ${modes.map((known) => `"${known}"`).join(', ')}`,
    })
  return { mode: 'socketPath' in address ? 'disable' : mode, caFile, certFile, keyFile }
}

/** Options of a connection; the files are read now. False: not encrypted. */
export async function readTls({ mode, caFile, certFile, keyFile }: PostgresTls): Promise<ConnectionOptions | false> {
  if (mode === 'disable') return false
  const [ca, cert, key] = await Promise.all([caFile === 'system' ? undefined : readPem(caFile), readPem(certFile), readPem(keyFile)])
  // As in libpq, "require" checks the certificate when it is told by whom it should be signed.
  const isVerified = mode.startsWith('verify-') || (mode === 'require' && ca !== undefined)
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    rejectUnauthorized: isVerified,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}

async function readPem(path: string | undefined): Promise<Buffer | undefined> {
  if (path === undefined || path === '') return undefined
  try {
    return await readFile(path)
  } catch (error) {
    throw new DatastoreError('InvalidArgument', `Cannot read the datastore's TLS file "${path}"`, { cause: error })
  }
}
