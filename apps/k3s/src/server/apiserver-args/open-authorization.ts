import {
  openRemoteHook,
  parseAuthorizationConfiguration,
  WebhookAuthorizer,
  type BuiltInPartsOptions,
  type ChosenAuthorizers,
  type ConfiguredAuthorizer,
} from '@k3s/apiserver'
import type { Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { AuthorizationArgs } from './arguments.ts'
import { followFile, readArgumentFile, usingFile } from './read-file.ts'

export interface AuthorizationIo {
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  readonly stack: AsyncDisposableStack
}

// Connections to servers that are asked no more stay until the requests that ask them have ended.
const lingerMs = 5 * 60_000
const argument = 'authorization-config'

/** Opens who decides what users may do; a configuration file is followed. Rejects with a UsageError for a file that is missing or wrong. */
export async function openAuthorization(
  args: AuthorizationArgs,
  io: AuthorizationIo,
): Promise<NonNullable<BuiltInPartsOptions['authorizers']>> {
  if ('authorizers' in args) {
    const [webhook] = args.authorizers.filter((one) => typeof one !== 'string')
    const open = () => openAuthorizers(args.authorizers, io)
    return webhook === undefined
      ? (await open()).chosen
      : (await usingFile('authorization-webhook-config-file', webhook.kubeconfigFile, open)).chosen
  }
  const file = args.configFile
  const read = (): readonly ConfiguredAuthorizer[] => parseAuthorizationConfiguration(readArgumentFile(argument, file))
  const first = await usingFile(argument, file, read)
  let current = await usingFile(argument, file, () => openAuthorizers(first, io))
  const modes = modesOf(first)
  followFile(argument, file, {
    use: async (text) => {
      const authorizers = parseAuthorizationConfiguration(text)
      checkModes(modesOf(authorizers), modes)
      const old = current
      current = await openAuthorizers(authorizers, io)
      setTimeout(() => void old.hooks.disposeAsync(), lingerMs).unref()
    },
    logger: io.logger,
    stack: io.stack,
  })
  return () => current.chosen
}

interface OpenedAuthorizers {
  readonly chosen: ChosenAuthorizers
  readonly hooks: AsyncDisposableStack
}

async function openAuthorizers(
  authorizers: readonly ConfiguredAuthorizer[],
  { logger, metrics, stack }: AuthorizationIo,
): Promise<OpenedAuthorizers> {
  const hooks = stack.use(new AsyncDisposableStack())
  const chosen: ChosenAuthorizers[number][] = []
  for (const one of authorizers) {
    if (typeof one === 'string') {
      chosen.push(one)
      continue
    }
    const { kubeconfigFile, timeoutMs, ...webhook } = one
    const hook = hooks.use(await openRemoteHook(kubeconfigFile, { logger, timeoutMs }))
    chosen.push(new WebhookAuthorizer({ ...webhook, hook, logger, metrics }))
  }
  return { chosen, hooks }
}

const modesOf = (authorizers: readonly ConfiguredAuthorizer[]): readonly string[] =>
  authorizers.filter((one) => typeof one === 'string').toSorted()

/** As upstream: only webhooks may come and go while the server runs. */
function checkModes(modes: readonly string[], first: readonly string[]): void {
  const missing = first.filter((mode) => !modes.includes(mode))
  if (missing.length > 0) throw new TypeError(`missing required types: [${missing.join(' ')}]`)
  const other = modes.find((mode) => (mode === 'Node' || mode === 'RBAC') && !first.includes(mode))
  if (other !== undefined) throw new TypeError(`authorizer type ${other} is not allowed if it was not enabled at initial server startup`)
}
