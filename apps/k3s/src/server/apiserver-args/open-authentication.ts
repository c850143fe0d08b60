import {
  configurationOfFlags,
  oidcAuthenticator,
  openRemoteHook,
  parseAuthenticationConfiguration,
  staticTokenAuthenticator,
  tokenWebhook,
  type AuthenticationConfiguration,
  type ApiServerOptions,
  type TokenAuthenticator,
} from '@k3s/apiserver'
import { systemClock, type Logger } from '@k3s/lifecycle'
import { UsageError } from '../../errors.ts'
import type { AuthenticationArgs } from './arguments.ts'
import { followFile, readArgumentFile, usingFile } from './read-file.ts'

export interface OpenedAuthentication {
  /** Bearer tokens besides those of service accounts and bootstrap tokens. */
  readonly tokens: readonly TokenAuthenticator[]
  readonly allowAnonymous: NonNullable<ApiServerOptions['allowAnonymous']>
}

export interface AuthenticationIo {
  /** Of service accounts: no other issuer may be one of them. */
  readonly ownIssuers: readonly string[]
  /** Of the API server. */
  readonly audiences: readonly string[]
  readonly logger: Logger
  readonly stack: AsyncDisposableStack
}

/** Opens what the arguments name. Rejects with a UsageError for a file that is missing or wrong. */
export async function openAuthentication(args: AuthenticationArgs, io: AuthenticationIo): Promise<OpenedAuthentication> {
  const { anonymous, configFile, oidc, tokenFile, webhook } = args
  const tokens: TokenAuthenticator[] = []
  if (tokenFile !== undefined)
    tokens.push(
      await usingFile('token-auth-file', tokenFile, () => staticTokenAuthenticator(readArgumentFile('token-auth-file', tokenFile))),
    )
  if (oidc !== undefined) {
    const { caFile, ...flags } = oidc
    refuseOwn([oidc.issuerUrl], io)
    const certificateAuthority = caFile === undefined ? undefined : readArgumentFile('oidc-ca-file', caFile)
    tokens.push(oidcAuthenticator(configurationOfFlags({ ...flags, certificateAuthority }), { clock: systemClock }))
  }
  let configured: AuthenticationConfiguration['anonymous']
  if (configFile !== undefined) {
    const opened = await openConfiguration(configFile, io)
    configured = opened.anonymous
    tokens.push(opened.tokens)
  }
  if (configured !== undefined && anonymous !== undefined)
    throw new UsageError('Cannot use --kube-apiserver-arg=anonymous-auth: the authentication-config says what is anonymous')
  if (webhook.configFile !== undefined) {
    const file = webhook.configFile
    const { logger, stack, audiences } = io
    const hook = stack.use(await usingFile('authentication-token-webhook-config-file', file, () => openRemoteHook(file, { logger })))
    tokens.push(tokenWebhook({ hook, audiences, cacheTtlMs: webhook.cacheTtlMs, version: webhook.version }))
  }
  return { tokens, allowAnonymous: configured === undefined ? (anonymous ?? false) : anonymousOf(configured) }
}

function anonymousOf({ enabled, paths }: NonNullable<AuthenticationConfiguration['anonymous']>): OpenedAuthentication['allowAnonymous'] {
  return enabled && paths.length > 0 ? { paths } : enabled
}

/** The issuers of an AuthenticationConfiguration, which follow changes of the file; what is anonymous stays, as upstream has it. */
async function openConfiguration(
  file: string,
  io: AuthenticationIo,
): Promise<{ readonly tokens: TokenAuthenticator; readonly anonymous: AuthenticationConfiguration['anonymous'] }> {
  const name = 'authentication-config'
  const read = (
    text: string,
  ): { readonly issuers: readonly TokenAuthenticator[]; readonly anonymous: AuthenticationConfiguration['anonymous'] } => {
    const { jwt, anonymous } = parseAuthenticationConfiguration(text)
    refuseOwn(
      jwt.map(({ issuer }) => issuer.url),
      io,
    )
    return { issuers: jwt.map((config) => oidcAuthenticator(config, { clock: systemClock })), anonymous }
  }
  const { issuers, anonymous } = await usingFile(name, file, () => read(readArgumentFile(name, file)))
  let current = issuers
  followFile(name, file, {
    use: (text) => {
      current = read(text).issuers
    },
    logger: io.logger,
    stack: io.stack,
  })
  const tokens: TokenAuthenticator = {
    name: 'OIDC',
    async authenticateToken(...given) {
      // Each has an issuer of its own: at most one knows the token.
      for (const issuer of current) {
        const identity = await issuer.authenticateToken(...given)
        if (identity !== undefined) return identity
      }
      return undefined
    },
  }
  return { tokens, anonymous }
}

function refuseOwn(urls: readonly string[], { ownIssuers }: AuthenticationIo): void {
  const own = urls.find((url) => ownIssuers.includes(url))
  if (own !== undefined) throw new UsageError(`Cannot believe tokens of issuer "${own}": it is the issuer of service account tokens`)
}
