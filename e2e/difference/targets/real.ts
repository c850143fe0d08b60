import { spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePorts } from '../../src/free-ports.ts'
import { findPrograms } from '../../src/programs.ts'
import { apiServerArguments, etcdArguments, writeServerFiles } from '../../src/server-files.ts'
import { Client, type Target } from '../client.ts'

const readyMs = 90_000

/** A server that runs already; `pki` holds ca.crt, admin.crt and admin.key. */
export async function existingServer(url: string, pki: string): Promise<Target & AsyncDisposable> {
  const read = (file: string): Promise<string> => readFile(join(pki, file), 'utf8')
  const tls = { ca: await read('ca.crt'), cert: await read('admin.crt'), key: await read('admin.key') }
  return { name: 'real', url, tls, [Symbol.asyncDispose]: async () => {} }
}

/** A real kube-apiserver on an empty etcd, both on loopback and in a temporary folder, set up as ours is. Rejects when it cannot be built or is not ready in 90 seconds. */
export async function startReal(): Promise<Target & AsyncDisposable> {
  const programs = await findPrograms(['kube-apiserver', 'etcd'])
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
    const [client = 0, peer = 0, port = 0] = await freePorts(3)
    const etcdUrl = `http://127.0.0.1:${client}`
    run('etcd', programs.etcd, etcdArguments(client, peer))
    const { ca, admin } = await writeServerFiles(folder)
    const tls = { ca: ca.cert, cert: admin.cert, key: admin.key }
    run('kube-apiserver', programs['kube-apiserver'], apiServerArguments(port, etcdUrl))
    const target: Target = { name: 'real', url: `https://127.0.0.1:${port}`, tls }
    await ready(target, started, folder)
    return { ...target, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await stop()
    throw error
  }
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
