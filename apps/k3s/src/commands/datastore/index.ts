import { Command } from 'commander'
import { buildCommand, resolveFlags } from '../../config/parse.ts'
import { UsageError } from '../../errors.ts'
import { readDatastoreOptions } from '../../server/server-options.ts'
import type { DatastoreCommandContext } from './context.ts'
import { serveCommand } from './serve.ts'

/** One of the group: its arguments as commander writes them, what is added to the flags of the table, and what loads it when it is called. */
interface Subcommand {
  readonly name: string
  readonly arguments: readonly (readonly [name: string, help: string])[]
  readonly description: string
  readonly options?: readonly (readonly [flags: string, help: string])[] | undefined
  readonly load: () => Promise<(args: readonly (string | undefined)[], context: DatastoreCommandContext) => Promise<void>>
}

const force = ['-f, --force', 'Replace FILE if it exists'] as const

const subcommands: readonly Subcommand[] = [
  {
    name: 'migrate',
    arguments: [
      ['<FROM>', 'DSN of the datastore to copy; it is only read'],
      ['<TO>', 'DSN of an empty datastore'],
    ],
    description: 'Copy a datastore into an empty one of any kind: keys, revisions and leases are kept',
    options: [
      ['--to-cafile <value>', 'Authority that signs the certificate of the server of TO'],
      ['--to-certfile <value>', 'Certificate to show to the server of TO'],
      ['--to-keyfile <value>', 'Key of that certificate'],
    ],
    load: async () => (await import('./migrate.ts')).runMigrate,
  },
  {
    name: 'snapshot',
    arguments: [['<FILE>', 'File to write']],
    description: 'Save what the datastore holds, also while servers use it',
    options: [force],
    load: async () => (await import('./snapshot.ts')).runSnapshot,
  },
  {
    name: 'restore',
    arguments: [['<FILE>', 'Snapshot to read']],
    description: 'Fill an empty datastore with a snapshot',
    load: async () => (await import('./restore.ts')).runRestore,
  },
  {
    name: 'verify',
    arguments: [
      ['[DSN_OR_FILE]', 'Datastore or snapshot to check (default: the datastore of this server)'],
      ['[OTHER]', 'Datastore or snapshot to compare it with'],
    ],
    description: 'Check a datastore or a snapshot, or compare two',
    load: async () => (await import('./verify.ts')).runVerify,
  },
  {
    name: 'compact',
    arguments: [['[REVISION]', 'Drop history below this revision (default: the newest)']],
    description: 'Drop history and free its space',
    load: async () => (await import('./compact.ts')).runCompact,
  },
  {
    name: 'status',
    arguments: [],
    description: 'Tell where the datastore stands',
    options: [['-o, --output <format>', 'text or json']],
    load: async () => (await import('./status.ts')).runStatus,
  },
]

/** `k3s datastore ...`. */
export function datastoreCommand(): Command {
  const group = new Command('datastore').description('Copy, save, restore, check and serve datastores')
  group
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .usage('[options] [command]')
    .argument('[command]')
    .allowExcessArguments(true)
    .action((name: string | undefined) => {
      if (name !== undefined) throw new UsageError(`Unknown command "${name}" for "k3s datastore"; see "k3s datastore --help"`)
      group.outputHelp()
    })
  for (const command of [...subcommands.map(commandOf), serveCommand()])
    group.addCommand(command.exitOverride().configureOutput({ writeErr: () => {} }))
  return group
}

function commandOf(subcommand: Subcommand): Command {
  const command = buildCommand(subcommand.name, subcommand.description, 'datastore')
  for (const [name, help] of subcommand.arguments) command.argument(name, help)
  for (const [flags, help] of subcommand.options ?? []) command.option(flags, help)
  return command.action(async () => {
    const given = command.opts()
    const { values } = resolveFlags('datastore', given, process.env)
    const run = await subcommand.load()
    await run(command.args, { datastore: readDatastoreOptions(values), given, stdout: process.stdout, stderr: process.stderr })
  })
}
