import { readFile } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { DatastoreError } from '../../errors.ts'

/** Where the PEM files are. */
export interface TlsPaths {
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
}

/** What is in the PEM files; absent: not given. Without a CA the machine's are trusted. */
export interface TlsFiles {
  readonly ca?: Buffer | undefined
  readonly cert?: Buffer | undefined
  readonly key?: Buffer | undefined
}

/** Reads the files and tries them. Throws `InvalidArgument` for one that cannot be read or does not hold what it should. */
export async function readTlsFiles({ caFile, certFile, keyFile }: TlsPaths): Promise<TlsFiles> {
  if ((certFile === undefined) !== (keyFile === undefined))
    throw new DatastoreError(
      'InvalidArgument',
      "Cannot use etcd's client certificate: its certificate and its key are given together or not at all",
    )
  const read = async (path: string | undefined): Promise<Buffer | undefined> => {
    if (path === undefined) return undefined
    return readFile(path).catch((cause: unknown) => {
      throw new DatastoreError('InvalidArgument', `Cannot read the TLS file "${path}" of the datastore`, { cause })
    })
  }
  const [ca, cert, key] = await Promise.all([read(caFile), read(certFile), read(keyFile)])
  if (ca !== undefined && !ca.includes('-----BEGIN CERTIFICATE-----'))
    throw new DatastoreError('InvalidArgument', `The CA file "${caFile}" of the datastore holds no certificate in PEM form`)
  try {
    createSecureContext({ ca, cert, key })
  } catch (cause) {
    const which = cert === undefined ? `CA file "${caFile}"` : `certificate "${certFile}" and key "${keyFile}"`
    throw new DatastoreError(
      'InvalidArgument',
      `Cannot use the ${which} of the datastore: ${cause instanceof Error ? cause.message : ''}`,
      { cause },
    )
  }
  return { ca, cert, key }
}

export function equalTlsFiles(a: TlsFiles, b: TlsFiles): boolean {
  const isEqual = (x: Buffer | undefined, y: Buffer | undefined): boolean => (x === undefined || y === undefined ? x === y : x.equals(y))
  return isEqual(a.ca, b.ca) && isEqual(a.cert, b.cert) && isEqual(a.key, b.key)
}
