import { createPublicKey } from 'node:crypto'
import { spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createCa, generateKey, issueCertificate } from '@k3s/pki'
import { Client, type Target } from '../client.ts'
import { buildPrograms } from './build.ts'

const readyMs = 90_000

/** A server that runs already; `pki` holds ca.crt, admin.crt and admin.key. */
export async function existingServer(url: string, pki: string): Promise<Target & AsyncDisposable> {
  const read = (file: string): Promise<string> => readFile(join(pki, file), 'utf8')
  const tls = { ca: await read('ca.crt'), cert: await read('admin.crt'), key: await read('admin.key') }
  return { name: 'real', url, tls, [Symbol.asyncDispose]: async () => {} }
}

/** A real kube-apiserver on an empty etcd, both on loopback and in a temporary folder, set up as ours is. Rejects when it cannot be built or is not ready in 90 seconds. */
export async function startReal(): Promise<Target & AsyncDisposable> {
  const programs = await buildPrograms()
  const folder = await mkdtemp(join(tmpdir(), 'k3s-difference-'))
  const started: ChildProcess[] = []
  const stop = async (): Promise<void> => {
    for (const child of started.toReversed()) {
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.kill()) await ended
    }
    await rm(folder, { recursive: true, force: true })
  }
  const run = (name: string, program: string, args: readonly string[]): void => {
    const log = openSync(join(folder, `${name}.log`), 'w')
    started.push(spawn(program, args, { cwd: folder, stdio: ['ignore', log, log] }))
  }
  try {
    const [client, peer, port] = await freePorts(3)
    const etcdUrl = `http://127.0.0.1:${client}`
    const peerUrl = `http://127.0.0.1:${peer}`
    run('etcd', programs.etcd, [
      '--name=real',
      '--data-dir=etcd',
      '--log-level=warn',
      `--initial-cluster=real=${peerUrl}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
    ])
    const tls = await writePki(folder)
    run('kube-apiserver', programs.apiServer, [
      `--etcd-servers=${etcdUrl}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${port}`,
      '--cert-dir=.',
      '--tls-cert-file=server.crt',
      '--tls-private-key-file=server.key',
      '--client-ca-file=ca.crt',
      '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
      '--service-account-key-file=accounts.pub',
      '--service-account-signing-key-file=accounts.key',
      '--service-cluster-ip-range=10.43.0.0/16',
      '--authorization-mode=Node,RBAC',
      '--endpoint-reconciler-type=none',
      '--allow-privileged=true',
      '--enable-admission-plugins=NodeRestriction',
    ])
    const target: Target = { name: 'real', url: `https://127.0.0.1:${port}`, tls }
    await ready(target, started, folder)
    return { ...target, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function writePki(folder: string): Promise<NonNullable<Target['tls']>> {
  const ca = await createCa('real-ca')
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
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return { ca: ca.cert, cert: admin.cert, key: admin.key }
}

async function ready(target: Target, processes: readonly ChildProcess[], folder: string): Promise<void> {
  using client = new Client(target)
  const deadline = performance.now() + readyMs
  for (;;) {
    const answer = await client.ask({ method: 'GET', path: '/readyz', headers: {} }).catch(() => undefined) // not listening yet
    if (answer?.status === 200) return
    if (processes.some(({ exitCode }) => exitCode !== null) || performance.now() > deadline) {
      const log = await readFile(join(folder, 'kube-apiserver.log'), 'utf8').catch(() => '')
      throw new Error(`Cannot start a real kube-apiserver:\n${log.slice(-4000)}`)
    }
    await sleep(100)
  }
}

/** Different ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer()
      return new Promise<typeof server>((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)))
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port) // listens on TCP
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
