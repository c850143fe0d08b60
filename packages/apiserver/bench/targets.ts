import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createCa, generateKey, issueCertificate } from '@k3s/pki'
import { ApiClient, type Address } from './api-client.ts'

/** A server that is measured, in processes of its own. */
export interface Target extends AsyncDisposable {
  readonly name: string
  readonly address: Address
  /** From the start of its first process until `/readyz`. */
  readonly startMs: number
  /** Of all its processes, in MiB. */
  rss(): number
}

const readyMs = 90_000

interface Programs {
  readonly apiServer?: string
  readonly etcd?: string
  readonly kine?: string
}

/** What can be measured here, by name. Says on standard error what cannot. */
export function targets(): ReadonlyMap<string, () => Promise<Target>> {
  const root = join(import.meta.dirname, '../../..')
  const { stdout } = spawnSync(process.execPath, ['--conditions=@k3s/source', join(root, 'scripts/peers.ts')], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const { apiServer, etcd, kine } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as Programs // made by the script
  const all = new Map([
    ['ours, SQLite', (): Promise<Target> => start('ours, SQLite', (cluster) => cluster.ours('sqlite:store.db'))],
    ['ours, memory', (): Promise<Target> => start('ours, memory', (cluster) => cluster.ours('memory:'))],
  ])
  if (apiServer === undefined) {
    console.error('NO KUBE-APISERVER: only ours is measured')
    return all
  }
  if (etcd !== undefined) all.set('kube-apiserver, etcd', () => start('kube-apiserver, etcd', (cluster) => cluster.onEtcd(apiServer, etcd)))
  if (kine !== undefined) all.set('kube-apiserver, kine', () => start('kube-apiserver, kine', (cluster) => cluster.onKine(apiServer, kine)))
  return all
}

class Cluster {
  readonly processes: ChildProcess[] = []
  readonly #folder: string
  readonly #port: number
  readonly #storePorts: readonly number[]

  constructor(folder: string, [port = 0, ...storePorts]: readonly number[]) {
    this.#folder = folder
    this.#port = port
    this.#storePorts = storePorts
  }

  ours(dsn: string): void {
    this.#run('ours', process.execPath, ['--conditions=@k3s/source', join(import.meta.dirname, 'serve.ts'), dsn, String(this.#port), '.'])
  }

  onEtcd(apiServer: string, etcd: string): void {
    const [client = 0, peer = 0] = this.#storePorts
    const [clients, peers] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`]
    this.#run('etcd', etcd, [
      '--name=bench',
      '--data-dir=etcd',
      '--log-level=warn',
      `--initial-cluster=bench=${peers}`,
      `--listen-client-urls=${clients}`,
      `--advertise-client-urls=${clients}`,
      `--listen-peer-urls=${peers}`,
      `--initial-advertise-peer-urls=${peers}`,
    ])
    this.#apiServer(apiServer, clients)
  }

  onKine(apiServer: string, kine: string): void {
    const [port = 0] = this.#storePorts
    this.#run('kine', kine, [`--listen-address=127.0.0.1:${port}`, '--metrics-bind-address=0'])
    this.#apiServer(apiServer, `http://127.0.0.1:${port}`)
  }

  #apiServer(program: string, store: string): void {
    this.#run('kube-apiserver', program, [
      `--etcd-servers=${store}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${this.#port}`,
      '--cert-dir=.',
      '--tls-cert-file=server.crt',
      '--tls-private-key-file=server.key',
      '--client-ca-file=ca.crt',
      '--service-account-issuer=https://issuer.example',
      '--service-account-key-file=accounts.pub',
      '--service-account-signing-key-file=accounts.key',
      '--service-cluster-ip-range=10.43.0.0/16',
      '--authorization-mode=Node,RBAC',
      '--endpoint-reconciler-type=none',
      '--enable-admission-plugins=NodeRestriction',
    ])
  }

  #run(name: string, program: string, args: readonly string[]): void {
    const log = openSync(join(this.#folder, `${name}.log`), 'w')
    this.processes.push(spawn(program, args, { cwd: this.#folder, stdio: ['ignore', log, log] }))
  }
}

async function start(name: string, run: (cluster: Cluster) => void): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'k3s-apiserver-bench-'))
  const ports = await freePorts(3)
  const identity = await writePki(folder)
  const address: Address = { url: `https://127.0.0.1:${ports[0]}`, ...identity }
  const cluster = new Cluster(folder, ports)
  const stop = async (): Promise<void> => {
    for (const child of cluster.processes.toReversed()) {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.kill()) await ended
    }
    rmSync(folder, { recursive: true, force: true })
  }
  const begin = performance.now()
  run(cluster)
  for (;;) {
    const client = new ApiClient(address)
    const answer = await client.ask('GET', '/readyz').catch(() => undefined) // does not listen yet
    client.close()
    if (answer?.status === 200) break
    if (performance.now() - begin > readyMs || cluster.processes.some(({ exitCode }) => exitCode !== null)) {
      await stop()
      throw new Error(`Cannot start ${name}`)
    }
    await sleep(10)
  }
  const startMs = performance.now() - begin
  const rss = (): number => cluster.processes.reduce((sum, { pid }) => sum + rssOf(pid), 0)
  return { name, address, startMs, rss, [Symbol.asyncDispose]: stop }
}

function rssOf(pid: number | undefined): number {
  if (pid === undefined) return 0
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}

async function writePki(folder: string): Promise<Omit<Address, 'url'>> {
  const ca = await createCa('bench-ca')
  const server = await issueCertificate(ca, { commonName: 'kube-apiserver', sans: ['127.0.0.1'], usages: ['server'] })
  const admin = await issueCertificate(ca, { commonName: 'admin', organizations: ['system:masters'], usages: ['client'] })
  const accounts = await generateKey()
  const files = {
    'ca.crt': ca.cert,
    'server.crt': server.cert,
    'server.key': server.key,
    'accounts.key': accounts,
    'accounts.pub': createPublicKey(accounts).export({ type: 'spki', format: 'pem' }).toString(),
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return { ca: ca.cert, cert: admin.cert, key: admin.key }
}

/** Different ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port) // listens on TCP
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
