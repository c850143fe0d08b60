import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { freeze } from './freeze.ts'

export interface MariadbOptions {
  /** `auto_increment_increment`, as Galera sets it to the number of its nodes; the offset is the same number. Default 1. */
  readonly autoIncrementIncrement?: number | undefined
  /** Further arguments of the server, as `--max-allowed-packet=2M`. */
  readonly args?: readonly string[] | undefined
  /** Makes files in the server's folder before it starts; answers further arguments. */
  readonly prepare?: ((directory: string) => readonly string[]) | undefined
  /** An existing data folder to use, for instance on a disk of its own; absent: a temporary one, removed at the end. */
  readonly directory?: string | undefined
}

/** A MariaDB server of our own on loopback, that flushes its log at each commit. */
export interface MariadbServer extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly pid: number
  readonly directory: string
  /** A DSN for a database of this server, which need not exist yet. The user may do everything; its password is `secret`. */
  readonly dsn: (database: string, parameters?: string) => string
  /** Runs SQL with the command line client, as root; answers its tab-separated output. */
  readonly sql: (text: string) => string
  /** Ends the server as an operator would; resolves when it is gone. */
  readonly stop: () => Promise<void>
  /** Ends it as a crash would. */
  readonly kill: () => Promise<void>
  /** Starts it again after {@link MariadbServer.stop}, on the same port with the same data. */
  readonly start: () => Promise<void>
  /** Stops and continues the process: it keeps its connections and answers nothing. */
  readonly pause: () => void
  readonly resume: () => void
}

/** `limited` may only use databases whose name begins with `granted`. */
const accounts = `
  create user if not exists 'k3s'@'%' identified by 'secret';
  grant all on *.* to 'k3s'@'%' with grant option;
  create user if not exists 'limited'@'%' identified by 'secret';
  grant all on \`granted%\`.* to 'limited'@'%';
`.replaceAll(/\s*\n\s*/g, '\n')

const asRoot = userInfo().uid === 0 ? ['--user=root'] : []

/** Starts MariaDB with a data folder of its own. Throws when the machine has no MariaDB. */
export async function startMariadb({
  autoIncrementIncrement = 1,
  args = [],
  prepare = () => [],
  directory: given,
}: MariadbOptions = {}): Promise<MariadbServer> {
  const program = '/usr/sbin/mariadbd'
  if (!existsSync(program)) throw new Error(`These tests need MariaDB (${program}): apt-get install mariadb-server`)
  const directory = given ?? mkdtempSync(join(tmpdir(), 'mariadb-'))
  const [data, socket, log, temporary] = ['data', 'socket', 'log', 'tmp'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
    string,
  ] // four names
  // A MariaDB that starts removes the temporary tables of all others that share its folder for them.
  mkdirSync(temporary, { recursive: true })
  const env = { ...process.env, TMPDIR: temporary }
  const installed = spawnSync(
    'mariadb-install-db',
    ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db', ...asRoot],
    { encoding: 'utf8', env },
  )
  if (installed.status !== 0) throw new Error(`MariaDB's data could not be made: ${installed.stderr}${installed.error?.message ?? ''}`)
  const accountsFile = join(directory, 'accounts.sql')
  writeFileSync(accountsFile, accounts)
  const prepared = prepare(directory)
  const port = await freePort()
  let child: ChildProcess | undefined

  const start = async (): Promise<void> => {
    const output = openSync(log, 'a')
    const started = spawn(
      program,
      [
        '--no-defaults',
        `--datadir=${data}`,
        `--socket=${socket}`,
        `--port=${port}`,
        '--bind-address=127.0.0.1',
        `--pid-file=${join(directory, 'pid')}`,
        `--init-file=${accountsFile}`,
        '--skip-name-resolve',
        '--innodb-flush-log-at-trx-commit=1',
        '--innodb-log-file-size=64M',
        '--innodb-buffer-pool-size=128M',
        `--auto-increment-increment=${autoIncrementIncrement}`,
        `--auto-increment-offset=${autoIncrementIncrement}`,
        ...asRoot,
        ...args,
        ...prepared,
      ],
      { stdio: ['ignore', output, output], env },
    )
    closeSync(output)
    child = started
    const deadline = Date.now() + 60_000
    while (!(await answers(port))) {
      if (started.exitCode !== null || started.signalCode !== null || Date.now() > deadline)
        throw new Error(`MariaDB did not start:\n${readFileSync(log, 'utf8').slice(-4000)}`)
      await delay(20)
    }
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const ending = child
    if (ending === undefined) return
    child = undefined
    const gone = new Promise((resolve) => ending.once('exit', resolve))
    if (ending.exitCode !== null || ending.signalCode !== null) return
    ending.kill('SIGCONT')
    ending.kill(signal)
    const forced = setTimeout(() => ending.kill('SIGKILL'), 20_000)
    await gone
    clearTimeout(forced)
  }

  try {
    await start()
  } catch (error) {
    await end('SIGKILL')
    if (given === undefined) rmSync(directory, { recursive: true, force: true })
    throw error
  }
  return {
    host: '127.0.0.1',
    port,
    directory,
    get pid() {
      return child?.pid ?? 0
    },
    dsn: (database, parameters = '') => `mysql://k3s:secret@tcp(127.0.0.1:${port})/${database}${parameters}`,
    sql(text) {
      const { status, stdout, stderr } = spawnSync('mariadb', ['--no-defaults', `--socket=${socket}`, '--user=root', '--batch', '-N'], {
        input: text,
        encoding: 'utf8',
      })
      if (status !== 0) throw new Error(`SQL failed: ${stderr}`)
      return stdout
    },
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => void (child?.pid !== undefined && freeze(child.pid)),
    resume: () => void child?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await end('SIGTERM')
      if (given === undefined) rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** Whether a server greets on the port, which it does once it takes clients. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.setTimeout(1000)
    const settle = (value: boolean): void => {
      socket.destroy()
      resolve(value)
    }
    socket.once('data', () => settle(true))
    for (const event of ['error', 'close', 'timeout']) socket.once(event, () => settle(false))
  })
}
