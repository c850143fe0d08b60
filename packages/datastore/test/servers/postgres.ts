import { spawn, execFileSync } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { chownSync, closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { freeze } from './freeze.ts'

export interface PostgresOptions {
  /** Brings each commit to disk. Default false: tests end no machine. */
  readonly isDurable?: boolean | undefined
  /** Settings of the server, as `name=value`. */
  readonly settings?: readonly string[] | undefined
  /** Puts files into the folder before the server starts, which then belong to it; answers further settings. */
  readonly prepare?: ((directory: string) => readonly string[]) | undefined
  /** The password of user `postgres`; default `secret`. */
  readonly password?: string | undefined
}

/** A PostgreSQL server on loopback, with a data folder of its own. */
export interface PostgresServer extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  /** The data folder. */
  readonly directory: string
  readonly dsn: (database: string) => string
  /** Ends the server at once, as an operator would in a hurry (`pg_ctl -m fast`); resolves when it is gone. */
  readonly stop: () => Promise<void>
  /** Ends it as a crash would. */
  readonly kill: () => Promise<void>
  /** Starts it again, on the same port with the same data; resolves when it answers. */
  readonly start: () => Promise<void>
  /** Stops and continues all processes of the server: connections stay, and nothing is answered. */
  readonly pause: () => void
  readonly resume: () => void
  /** Does SQL in a database as the server's administrator; one line a row. */
  readonly query: (database: string, sql: string) => string
}

/** The programs of the newest version that the machine has. */
function findPrograms(): string {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).toSorted((a, b) => Number(b) - Number(a)) : []
  if (versions[0] === undefined) throw new Error(`These tests need PostgreSQL (${root}): apt-get install postgresql`)
  return join(root, versions[0], 'bin')
}

/** PostgreSQL refuses to run as root. */
function ordinaryUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((it) => it.startsWith('postgres:'))
  const [, , uid, gid] = (line ?? '').split(':')
  if (uid === undefined) throw new Error('These tests run PostgreSQL as user "postgres", which does not exist')
  return { uid: Number(uid), gid: Number(gid) }
}

/** Starts a server. Throws when the machine has none. */
export async function startPostgres({
  isDurable = false,
  settings = [],
  prepare = () => [],
  password = 'secret',
}: PostgresOptions = {}): Promise<PostgresServer> {
  const programs = findPrograms()
  const user = ordinaryUser()
  const directory = mkdtempSync(join(tmpdir(), 'postgres-'))
  const prepared = prepare(directory)
  if (user !== undefined) for (const name of ['', ...readdirSync(directory)]) chownSync(join(directory, name), user.uid, user.gid)
  const as: SpawnOptions & { cwd: string } = { cwd: directory, ...user }
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', PGPASSWORD: password }
  const data = join(directory, 'data')
  execFileSync(
    '/bin/sh',
    // The password goes in by a file that the shell makes and removes.
    [
      '-c',
      `umask 077; printf %s "$PGPASSWORD" >password; '${programs}/initdb' -D data -U postgres -A scram-sha-256 --pwfile=password -E UTF8 -N; result=$?; rm password; exit $result`,
    ],
    { ...as, env, stdio: 'pipe' },
  )
  const port = await freePort()
  const log = join(directory, 'log')
  let child: ChildProcess | undefined

  const start = async (): Promise<void> => {
    const output = openSync(log, 'a')
    const parameters = [
      `port=${port}`,
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${directory}`,
      `fsync=${isDurable ? 'on' : 'off'}`,
      ...settings,
      ...prepared,
    ]
    child = spawn(join(programs, 'postgres'), ['-D', data, ...parameters.flatMap((setting) => ['-c', setting])], {
      ...as,
      env,
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    for (const deadline = Date.now() + 60_000; ; await delay(20)) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`PostgreSQL has not started:\n${readFileSync(log, 'utf8')}`)
      if (await answers(port)) return
    }
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const server = child
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const gone = new Promise((resolve) => server.once('exit', resolve))
    server.kill(signal)
    await gone
  }
  /** The server and its children, one for each connection. */
  const processes = (): readonly number[] => {
    const pid = child?.pid ?? 0
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')
    return [pid, ...children.map(Number)].filter((process_) => process_ > 0)
  }
  const kill = async (): Promise<void> => {
    await end('SIGKILL')
    // The children of a killed server end by themselves, soon.
    for (const deadline = Date.now() + 20_000; Date.now() < deadline && (await isListening(port));) await delay(20)
  }
  try {
    await start()
  } catch (error) {
    rmSync(directory, { recursive: true })
    throw error
  }
  return {
    port,
    directory,
    get pid() {
      return child?.pid ?? 0
    },
    dsn: (database) => `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}`,
    pause: () => processes().forEach(freeze),
    resume: () => processes().forEach((process_) => process.kill(process_, 'SIGCONT')),
    stop: () => end('SIGINT'),
    kill,
    start,
    query: (database, sql) =>
      execFileSync(join(programs, 'psql'), ['-h', directory, '-p', `${port}`, '-U', 'postgres', '-d', database, '-Atqc', sql], {
        ...as,
        env,
        encoding: 'utf8',
      }).trim(),
    async [Symbol.asyncDispose]() {
      await end('SIGINT')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

/** Whether a server takes connections: it answers a request for encryption by a letter, and says so when it is still starting by an error to the startup. */
async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const startup = Buffer.from('user\0postgres\0database\0postgres\0\0')
    const head = Buffer.alloc(8)
    head.writeInt32BE(startup.length + 8, 0)
    head.writeInt32BE(196_608, 4)
    socket.once('connect', () => socket.write(Buffer.concat([head, startup])))
    const end = (isReady: boolean): void => {
      socket.destroy()
      resolve(isReady)
    }
    // "R": asks for the password. "E": is starting, or shutting down.
    socket.once('data', (data) => end(data[0] === 0x52))
    socket.once('error', () => end(false)).once('close', () => end(false))
  })
}
