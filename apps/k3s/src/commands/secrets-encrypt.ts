import { join, resolve } from 'node:path'
import { connectSupervisor } from '@k3s/node-registration'
import { Command } from 'commander'
import { UsageError } from '../errors.ts'
import { readIfThere } from '../files.ts'

interface Options {
  readonly dataDir: string
  readonly server: string
  readonly token?: string | undefined
  readonly output?: string | undefined
  readonly force?: boolean | undefined
  readonly skip?: boolean | undefined
}

interface Status {
  readonly stage: string
  readonly activekey?: string | undefined
  readonly enable?: boolean | undefined
  readonly hashmatch: boolean
  readonly hasherror?: string | undefined
  readonly inactivekeys?: readonly string[] | undefined
}

/** `k3s secrets-encrypt ...`, by the supervisor of a running server. */
export function secretsEncryptCommand(): Command {
  const group = new Command('secrets-encrypt').description('Control the encryption of Secrets and rotate its keys')
  group.exitOverride().configureOutput({ writeErr: () => {} })
  const add = (name: string, description: string, body: (options: Options) => object, done: string): Command => {
    const command = common(new Command(name).description(description))
    command.action(async () => {
      const client = await connect(command.opts<Options>())
      await client.call('/v1-k3s/encrypt/config', {
        method: 'PUT',
        body: Buffer.from(JSON.stringify(body(command.opts<Options>()))),
        headers: { 'content-type': 'application/json' },
      })
      process.stdout.write(`${done}\n`)
    })
    group.addCommand(command)
    return command
  }
  const force = ['-f, --force', 'Do it whatever the stage is'] as const
  const status = common(new Command('status').description('Tell whether Secrets are encrypted, and with which keys'))
  status.option('-o, --output <format>', 'text or json', 'text')
  status.action(async () => {
    const { output = 'text', ...options } = status.opts<Options>()
    if (output !== 'text' && output !== 'json') throw new UsageError(`Cannot use "${output}" for --output: text or json is needed`)
    const text = await (await connect(options)).call('/v1-k3s/encrypt/status')
    process.stdout.write(output === 'json' ? `${text}\n` : renderStatus(JSON.parse(text) as Status)) // the server's own answer
  })
  group.addCommand(status)
  add('enable', 'Encrypt Secrets from now on', () => ({ enable: true }), 'secrets-encryption enabled')
  add('disable', 'Encrypt Secrets no more', () => ({ enable: false }), 'secrets-encryption disabled')
  add('prepare', 'Add a key', ({ force: f }) => ({ stage: 'prepare', force: f }), 'prepare completed successfully').option(...force)
  add('rotate', 'Encrypt with the newest key', ({ force: f }) => ({ stage: 'rotate', force: f }), 'rotate completed successfully').option(
    ...force,
  )
  add(
    'reencrypt',
    'Encrypt all Secrets with the active key and drop the others',
    ({ force: f, skip }) => ({ stage: 'reencrypt_request', force: f, skip }),
    'reencryption started',
  )
    .option(...force)
    .option('--skip', 'Keep the other keys')
  add('rotate-keys', 'Do all steps of a rotation', () => ({ stage: 'rotate_keys' }), 'keys rotated, reencryption started')
  return group
}

function common(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .option('-d, --data-dir <dir>', 'Folder that holds the state', process.env['K3S_DATA_DIR'] ?? '/var/lib/rancher/k3s')
    .option('-s, --server <url>', 'Server to talk to', process.env['K3S_URL'] ?? 'https://127.0.0.1:6443')
    .option('-t, --token <token>', "The server's token (default: that of this machine's server)", process.env['K3S_TOKEN'])
}

async function connect({ dataDir, server, token }: Options) {
  const file = join(resolve(dataDir), 'server/token')
  const text = token ?? readIfThere(file)?.trim()
  if (text === undefined) throw new UsageError(`Cannot read the token from "${file}": give one with --token`)
  return connectSupervisor(server, text, AbortSignal.timeout(30_000))
}

function renderStatus({ enable, stage, hashmatch, hasherror, activekey, inactivekeys = [] }: Status): string {
  if (enable === undefined) return 'Encryption Status: Disabled, no configuration file found\n'
  const lines = [
    `Encryption Status: ${enable ? 'Enabled' : 'Disabled'}`,
    `Current Rotation Stage: ${stage}`,
    `Server Encryption Hashes: ${hashmatch ? 'All hashes match' : (hasherror ?? 'hash does not match')}`,
    '',
    'Active  Key Type           Name',
    '------  --------           ----',
    ...[...(activekey === undefined ? [] : [[' *', activekey] as const]), ...inactivekeys.map((key) => ['', key] as const)].map(
      ([mark, key]) => `${mark.padEnd(8)}${(key.split(' ')[0] ?? '').padEnd(19)}${key.split(' ')[1] ?? ''}`,
    ),
  ]
  return `${lines.join('\n')}\n`
}
