import { parseTokenKeys, SigningKeys, type BuiltInPartsOptions } from '@k3s/apiserver'
import type { ServiceAccountArgs } from './arguments.ts'
import { readArgumentFile, usingFile } from './read-file.ts'

export interface ServiceAccountIo {
  /** PEM: signs, and verifies, unless another key is named. */
  readonly ownKey: string
  readonly clusterDomain: string
  /** Where clients reach the server. */
  readonly baseUrl: string
}

type ServiceAccounts = BuiltInPartsOptions['serviceAccounts'] & { readonly audiences: readonly string[] }

/** Reads the keys that the arguments name. Rejects with a UsageError for a file that is missing or has no such key. */
export async function openServiceAccounts(
  args: ServiceAccountArgs,
  { ownKey, clusterDomain, baseUrl }: ServiceAccountIo,
): Promise<ServiceAccounts> {
  const { signingKeyFile, keyFiles, maxExpirationSeconds, extendsExpiration, jwksUri } = args
  const signing =
    signingKeyFile === undefined
      ? ownKey
      : await usingFile('service-account-signing-key-file', signingKeyFile, () => {
          const text = readArgumentFile('service-account-signing-key-file', signingKeyFile)
          void new SigningKeys([text]) // throws when it cannot sign
          return text
        })
  const verifying = await Promise.all(
    keyFiles.map((file) =>
      usingFile('service-account-key-file', file, () => {
        const text = readArgumentFile('service-account-key-file', file)
        if (parseTokenKeys(text).length === 0) throw new TypeError('it has no key')
        return text
      }),
    ),
  )
  const [first = `https://kubernetes.default.svc.${clusterDomain}`, ...others] = args.issuers
  return {
    keys: new SigningKeys([signing, ...verifying]),
    issuers: [first, ...others],
    audiences: args.audiences.length === 0 ? [first, 'k3s'] : args.audiences,
    baseUrl,
    jwksUri,
    maxExpirationSeconds,
    extendsExpiration,
  }
}
