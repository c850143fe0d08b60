/** What is measured: datastores in this process, and servers of the etcd API, ours and others. Each starts empty and durable, on the same disk. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore } from '@k3s/datastore'
import { startEtcd } from '../test/servers/etcd.ts'
import { freePort } from '../test/servers/free-port.ts'
import { startMariadb } from '../test/servers/mariadb.ts'
import { startPostgres } from '../test/servers/postgres.ts'
import { runLoad } from './load.ts'
import type { LoadOptions, LoadResult } from './load.ts'
import type { Peers } from './peers.ts'

/** A target that runs. */
export interface Running extends AsyncDisposable {
  readonly run: (options: LoadOptions, onResult: (result: LoadResult) => void) => Promise<void>
}

export interface Target {
  readonly name: string
  readonly start: () => Promise<Running>
}

/** A database for a target to store in. */
interface Storage extends AsyncDisposable {
  readonly dsn: string
}

const storages: Readonly<Record<string, () => Promise<Storage>>> = {
  async SQLite() {
    const directory = makeDirectory()
    return {
      dsn: `sqlite://${join(directory, 'bench.db')}`,
      [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true, force: true }),
    }
  },
  async PostgreSQL() {
    const server = await startPostgres({ isDurable: true })
    return { dsn: server.dsn('bench'), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
  },
  async MariaDB() {
    const server = await startMariadb()
    return { dsn: server.dsn('bench'), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
  },
}

/** Every target that this machine can run. */
export function makeTargets({ load, kine, etcd, newEtcd }: Peers): readonly Target[] {
  const targets: Target[] = [
    { name: 'in-process memory', start: () => inProcess(async () => ({ dsn: 'memory:', [Symbol.asyncDispose]: async () => {} })) },
  ]
  // The slowest come last, so that they have all the time that the others leave.
  const kines: Target[] = []
  for (const [name, makeStorage] of Object.entries(storages)) {
    targets.push({ name: `in-process ${name}`, start: () => inProcess(makeStorage) })
    if (load === undefined) continue
    const ours = (dsn: string, port: number): readonly string[] => [
      process.execPath,
      '--conditions=@k3s/source',
      join(import.meta.dirname, 'serve.ts'),
      dsn,
      String(port),
    ]
    targets.push({ name: `etcd API ${name}`, start: () => served(load, makeStorage, ours) })
    const theirs = (dsn: string, port: number): readonly string[] => [
      kine ?? '',
      `--endpoint=${dsn}`,
      `--listen-address=tcp://127.0.0.1:${port}`,
      '--metrics-bind-address=0',
    ]
    if (kine !== undefined) kines.push({ name: `kine ${name}`, start: () => served(load, makeStorage, theirs) })
  }
  const ownEtcd = async (): Promise<Storage> => {
    const server = await startEtcd({ isDurable: true })
    return { dsn: server.dsn, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
  }
  if (etcd !== undefined) targets.push({ name: 'in-process etcd driver', start: () => inProcess(ownEtcd) })
  for (const program of [etcd, newEtcd])
    if (program !== undefined && load !== undefined)
      targets.push({ name: `etcd ${versionOf(program)}`, start: () => served(load, noStorage, etcdCommand(program)) })
  return [...targets, ...kines]
}

function versionOf(etcd: string): string {
  return /etcd Version: (\S+)/.exec(spawnSync(etcd, ['--version'], { encoding: 'utf8' }).stdout)?.[1] ?? ''
}

async function noStorage(): Promise<Storage> {
  const directory = makeDirectory()
  return { dsn: directory, [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true, force: true }) }
}

function etcdCommand(program: string): (directory: string, port: number) => Promise<readonly string[]> {
  return async (directory, port) => [
    program,
    `--data-dir=${directory}`,
    `--listen-client-urls=http://127.0.0.1:${port}`,
    `--advertise-client-urls=http://127.0.0.1:${port}`,
    `--listen-peer-urls=http://127.0.0.1:${await freePort()}`,
    '--log-level=error',
  ]
}

/** In the folder of this package, which is on the disk that is measured: the folder for temporary files may be in memory. */
function makeDirectory(): string {
  return mkdtempSync(join(import.meta.dirname, '.data-'))
}

async function inProcess(makeStorage: () => Promise<Storage>): Promise<Running> {
  await using stack = new AsyncDisposableStack()
  const storage = stack.use(await makeStorage())
  const store = stack.use(await openDatastore(storage.dsn))
  const owned = stack.move()
  return {
    run: (options, onResult) => runLoad(store, options, onResult),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function served(
  load: string,
  makeStorage: () => Promise<Storage>,
  command: (dsn: string, port: number) => readonly string[] | Promise<readonly string[]>,
): Promise<Running> {
  const storage = await makeStorage()
  const port = await freePort()
  const [program = '', ...args] = await command(storage.dsn, port)
  // Its words are of interest only when it ends.
  const server = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'] })
  let words = ''
  server.stderr.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-2000)
  })
  const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()))
  const close = async (): Promise<void> => {
    server.kill('SIGTERM')
    await Promise.race([ended, delay(10_000)])
    server.kill('SIGKILL')
    await ended
    await storage[Symbol.asyncDispose]()
  }
  const deadline = Date.now() + 30_000
  while (!(await isListening(port))) {
    if (server.exitCode === null && Date.now() < deadline) continue
    await close()
    throw new Error(`${program} does not listen: ${words}`)
  }
  return { run: (options, onResult) => runProgram(load, port, options, onResult), [Symbol.asyncDispose]: close }
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const isOpen = await new Promise<boolean>((resolve) => socket.once('connect', () => resolve(true)).once('error', () => resolve(false)))
  socket.destroy()
  if (!isOpen) await delay(50)
  return isOpen
}

async function runProgram(program: string, port: number, options: LoadOptions, onResult: (result: LoadResult) => void): Promise<void> {
  const { workloads, clients, seconds, keys, valueBytes, prefix, deadlineMs } = options
  const flags = { workloads: workloads.join(','), clients: clients.join(','), seconds, keys, 'value-bytes': valueBytes, prefix }
  const args = Object.entries(flags).map(([name, value]) => `-${name}=${value}`)
  const child = spawn(program, [`-endpoint=http://127.0.0.1:${port}`, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.once('close', resolve))
  const timer = setTimeout(() => child.kill('SIGKILL'), deadlineMs - Date.now())
  for await (const line of createInterface(child.stdout)) onResult(JSON.parse(line) as LoadResult) // printed as one
  const code = await ended
  clearTimeout(timer)
  if (child.signalCode === 'SIGKILL') throw new Error('Its share of the time is over')
  if (code !== 0) throw new Error(`The load ended with ${String(code)}`)
}
