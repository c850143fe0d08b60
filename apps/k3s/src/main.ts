import { flushCompileCache } from 'node:module'
import { inspect } from 'node:util'
import { Command, CommanderError } from 'commander'
import { readAgentOptions } from './agent/agent-options.ts'
import { datastoreCommand } from './commands/datastore/index.ts'
import { runKubectl } from './commands/kubectl.ts'
import { secretsEncryptCommand } from './commands/secrets-encrypt.ts'
import { runUntilSignal } from './commands/run-until-signal.ts'
import { buildCommand, resolveFlags, splitUnknown, usageErrorOf } from './config/parse.ts'
import { UsageError } from './errors.ts'
import { sentencesOf } from './explain.ts'
import { createLogger, logCrashes } from './log.ts'
import { readNodeOptions } from './node/node-options.ts'
import { readServerOptions } from './server/server-options.ts'
import { processTitle } from './process-title.ts'
import { kubernetesVersion } from './version.ts'

const exitCodes = { ok: 0, failure: 1, usage: 2 } as const

async function server(given: Readonly<Record<string, unknown>>): Promise<void> {
  const { values, warnings } = resolveFlags('server', given, process.env)
  const options = readServerOptions(values)
  const node = await readNodeOptions(values)
  const logger = createLogger({ isDebug: values.boolean('debug') || options.apiServerArgs.isVerbose, file: values.string('log') })
  logCrashes(logger)
  for (const warning of warnings) logger.warn({}, warning)
  const { runServer } = await import('./server/run-server.ts')
  await runUntilSignal((signal) =>
    runServer(options, node, {
      logger,
      signal,
      onReady: () => {
        logger.info(
          { readyMs: Math.round(process.uptime() * 1000), rssMb: Math.round(process.memoryUsage.rss() / 2 ** 20) },
          'k3s is up and running',
        )
        flushCompileCache()
      },
    }),
  )
}

async function agent(given: Readonly<Record<string, unknown>>): Promise<void> {
  const { values, warnings } = resolveFlags('agent', given, process.env)
  const options = readAgentOptions(values)
  const node = await readNodeOptions(values)
  const logger = createLogger({ isDebug: values.boolean('debug'), file: values.string('log') })
  logCrashes(logger)
  for (const warning of warnings) logger.warn({}, warning)
  const { runAgent } = await import('./agent/run-agent.ts')
  await runUntilSignal((signal) =>
    runAgent(options, node, {
      logger,
      signal,
      onReady: () => {
        logger.info(
          { readyMs: Math.round(process.uptime() * 1000), rssMb: Math.round(process.memoryUsage.rss() / 2 ** 20) },
          'k3s agent is up and running',
        )
        flushCompileCache()
      },
    }),
  )
}

async function main(args: readonly string[]): Promise<number> {
  // kubectl's flags are its own: nothing of them is looked at here.
  if (args[0] === 'kubectl') return runKubectl(args.slice(1))
  const program = new Command('k3s')
    .description('Kubernetes, small: one process, one file')
    .version(`k3s version ${kubernetesVersion}\nnode version ${process.version}`, '-v, --version')
  program.exitOverride().configureOutput({ writeErr: () => {} })
  const nodeFlags = (
    name: 'server' | 'agent',
    description: string,
    run: (given: Readonly<Record<string, unknown>>) => Promise<void>,
  ): void => {
    const command = buildCommand(name, description, name)
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
    command.action(() => run(command.opts()))
    program.addCommand(command)
  }
  nodeFlags('server', 'Run a server: control plane, and this machine as a node', server)
  nodeFlags('agent', 'Run this machine as a node of a cluster', agent)
  program.addCommand(datastoreCommand())
  program.addCommand(secretsEncryptCommand())
  program.addCommand(new Command('kubectl').description('Run kubectl against the cluster of this machine').allowUnknownOption())
  if (args.length === 0) {
    program.outputHelp()
    return exitCodes.ok
  }
  try {
    await program.parseAsync(splitUnknown(args), { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return exitCodes.ok
    throw usageErrorOf(error)
  }
}

/** What the user is told: one sentence for each thing that is wrong; with K3S_DEBUG the whole error as well. */
function explain(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`k3s: ${error.message}\n`)
    return exitCodes.usage
  }
  for (const sentence of sentencesOf(error)) process.stderr.write(`k3s: ${sentence}\n`)
  if (process.env['K3S_DEBUG'] !== undefined && error instanceof Error) process.stderr.write(`${inspect(error)}\n`)
  return exitCodes.failure
}

process.title = processTitle(process.argv)
// What a library still waits for when our work is done, such as a timer of a closed connection, must not hold the process.
process.exit(await main(process.argv.slice(2)).catch(explain))
