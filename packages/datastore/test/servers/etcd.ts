import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { freeze } from './freeze.ts'

/** That of the machine's package, 3.4.23 on Debian 12. */
const machinesProgram = '/usr/bin/etcd'

export interface EtcdOptions {
  /** The program; default: that of the machine's package. */
  readonly program?: string | undefined
  /** Serves TLS with these, and asks clients for a certificate of the same CA. */
  readonly certificates?: EtcdCertificates | undefined
  /** Brings each commit to disk. Default false: tests end no machine. */
  readonly isDurable?: boolean | undefined
  /** Further arguments of the server. */
  readonly args?: readonly string[] | undefined
}

/** PEM files. */
export interface EtcdCertificates {
  readonly caFile: string
  readonly certFile: string
  readonly keyFile: string
  readonly clientCertFile: string
  readonly clientKeyFile: string
}

/** An etcd of one member on loopback, with a data folder of its own. */
export interface EtcdServer extends AsyncDisposable {
  readonly dsn: string
  /** `HOST:PORT`. */
  readonly endpoint: string
  readonly pid: number
  /** Ends the server as an operator would; resolves when it is gone. */
  readonly stop: () => Promise<void>
  /** Ends it as a crash would. */
  readonly kill: () => Promise<void>
  /** Starts it again after {@link EtcdServer.stop}, on the same ports with the same data; resolves when it answers. */
  readonly start: () => Promise<void>
  /** Stops and continues the process: it keeps its connections and answers nothing. */
  readonly pause: () => void
  readonly resume: () => void
}

/** Starts an etcd. Throws when the machine has none. */
export async function startEtcd({
  program = machinesProgram,
  certificates,
  isDurable = false,
  args = [],
}: EtcdOptions = {}): Promise<EtcdServer> {
  if (!existsSync(program)) throw new Error(`These tests need etcd (${program}): apt-get install etcd-server`)
  const directory = mkdtempSync(join(tmpdir(), 'etcd-'))
  const [port, peerPort] = [await freePort(), await freePort()]
  const scheme = certificates === undefined ? 'http' : 'https'
  const endpoint = `127.0.0.1:${port}`
  const log = join(directory, 'log')
  let child: ChildProcess | undefined

  const start = async (): Promise<void> => {
    const output = openSync(log, 'a')
    child = spawn(
      program,
      [
        '--name=one',
        `--data-dir=${join(directory, 'data')}`,
        `--listen-client-urls=${scheme}://${endpoint}`,
        `--advertise-client-urls=${scheme}://${endpoint}`,
        `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
        `--initial-advertise-peer-urls=http://127.0.0.1:${peerPort}`,
        `--initial-cluster=one=http://127.0.0.1:${peerPort}`,
        // One member elects itself: the usual second is waited for nothing.
        '--heartbeat-interval=10',
        '--election-timeout=100',
        '--logger=zap',
        ...(isDurable ? [] : ['--unsafe-no-fsync']),
        ...(certificates === undefined
          ? []
          : [
              `--cert-file=${certificates.certFile}`,
              `--key-file=${certificates.keyFile}`,
              '--client-cert-auth',
              `--trusted-ca-file=${certificates.caFile}`,
            ]),
        ...args,
      ],
      { stdio: ['ignore', output, output] },
    )
    closeSync(output)
    const started = child
    await answers(port, () => {
      if (started.exitCode !== null || started.signalCode !== null)
        throw new Error(`etcd ended:\n${readFileSync(log, 'utf8').slice(-3000)}`)
      return /ready to serve client requests|serving (insecure )?client (requests|traffic)/.test(readFileSync(log, 'utf8').slice(logStart))
    })
    logStart = readFileSync(log).length
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const running = child
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const gone = new Promise((resolve) => running.once('exit', resolve))
    running.kill('SIGCONT')
    running.kill(signal)
    await gone
  }
  let logStart = 0
  await start()
  return {
    dsn: `${scheme}://${endpoint}`,
    endpoint,
    get pid() {
      return child?.pid ?? 0
    },
    start,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    pause: () => void (child?.pid !== undefined && freeze(child.pid)),
    resume: () => void child?.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await end('SIGKILL')
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

/** As `3.4.23`. */
export function versionOfEtcd(program: string = machinesProgram): string {
  const [, version = ''] = /etcd Version: (\S+)/.exec(execFileSync(program, ['--version'], { encoding: 'utf8' })) ?? []
  return version
}

/** A CA, a server's certificate for 127.0.0.1 and a client's, made by openssl in a folder that exists. `name` keeps several apart. */
export function makeCertificates(directory: string, name = 'etcd'): EtcdCertificates {
  const file = (suffix: string): string => join(directory, `${name}-${suffix}`)
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const key = (suffix: string): readonly string[] => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    file(suffix),
  ]
  openssl('req', '-x509', ...key('ca.key'), '-out', file('ca.crt'), '-days', '2', '-subj', `/CN=${name}-ca`)
  for (const [role, extensions] of [
    ['server', 'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth'],
    ['client', 'extendedKeyUsage=clientAuth'],
  ] as const) {
    writeFileSync(file(`${role}.ext`), extensions)
    openssl('req', ...key(`${role}.key`), '-out', file(`${role}.csr`), '-subj', `/CN=${name}-${role}`)
    const ca = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial']
    openssl('x509', '-req', '-in', file(`${role}.csr`), ...ca, '-out', file(`${role}.crt`), '-days', '2', '-extfile', file(`${role}.ext`))
  }
  return {
    caFile: file('ca.crt'),
    certFile: file('server.crt'),
    keyFile: file('server.key'),
    clientCertFile: file('client.crt'),
    clientKeyFile: file('client.key'),
  }
}

async function answers(port: number, isReady: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 60_000; ; await delay(10)) {
    if (isReady() && (await accepts(port))) return
    if (Date.now() > deadline) throw new Error('etcd did not become ready within a minute')
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
