import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nodes } from '@k3s/api/types/core/v1'
import { createClient, createRestTransport, loadKubeconfig, type Client } from '@k3s/client'
import { program, until } from '../src/cluster.ts'
import { freePorts } from '../src/free-ports.ts'

/** A cluster to run tests on. */
export interface Cluster extends AsyncDisposable {
  /** File of its administrator. */
  readonly kubeconfig: string
  readonly logFile?: string | undefined
}

/** A cluster that runs already and stays as it is. */
export const existingCluster = (kubeconfig: string): Cluster => ({ kubeconfig, [Symbol.asyncDispose]: async () => {} })

const root = join(import.meta.dirname, '../..')
const readyMs = 120_000
// Well within the time after which a node that says nothing is held to be gone.
const heartbeatMs = 15_000
// Nothing may bind pods to nodes that run none: they would never be gone again. The address is for documents (RFC 5737): nobody dials it.
const withoutNode = '--disable-agent --disable-scheduler --bind-address 127.0.0.1 --node-ip 192.0.2.1 --disable coredns,runtimes'.split(' ')
const fakeNodes = ['fake-0', 'fake-1']

/** Starts a server in a temporary folder: with `hasNode` it is a node as well and needs root, else its only nodes are two objects that say Ready. Rejects when it is not ready in two minutes. */
export async function startCluster(options: { readonly hasNode: boolean; readonly datastore?: string | undefined }): Promise<Cluster> {
  const { hasNode, datastore } = options
  const folder = await mkdtemp(join(tmpdir(), 'k3s-conformance-'))
  const [kubeconfig, logFile] = [join(folder, 'kubeconfig'), join(folder, 'server.log')]
  const [port, balancerPort] = await freePorts(2)
  const files = ['--data-dir', join(folder, 'data'), '--write-kubeconfig', kubeconfig]
  const ports = ['--https-listen-port', `${port}`, '--lb-server-port', `${balancerPort}`]
  const store = datastore === undefined ? [] : ['--datastore-endpoint', datastore]
  const args = ['server', ...files, ...ports, ...store, ...(hasNode ? [] : withoutNode)]
  const log = openSync(logFile, 'w')
  const child = hasNode
    ? spawn(program, args, { cwd: root, stdio: ['ignore', log, log] })
    : spawn(process.execPath, ['--conditions=@k3s/source', 'apps/k3s/src/main.ts', ...args], { cwd: root, stdio: ['ignore', log, log] })
  const heart = new AbortController()
  let beating: Promise<void> = Promise.resolve()
  const stop = async (): Promise<void> => {
    heart.abort()
    await beating
    await end(child)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const client = await until('the server is up', () => connect(child, kubeconfig), readyMs)
    if (hasNode) await until('a node is Ready', async () => (await hasReadyNode(client)) || undefined, readyMs)
    else {
      await makeNodes(client)
      await sayReady(client)
      beating = keepReady(client, heart.signal)
    }
    return { kubeconfig, logFile, [Symbol.asyncDispose]: stop }
  } catch (error) {
    const text = await readFile(logFile, 'utf8').catch(() => '')
    await stop()
    throw new Error(`Cannot start a cluster:\n${text.split('\n').slice(-20).join('\n')}`, { cause: error })
  }
}

async function connect(child: ChildProcess, kubeconfig: string): Promise<Client | undefined> {
  if (child.exitCode !== null) throw new Error(`The server ended with code ${child.exitCode}`)
  if (!existsSync(kubeconfig)) return undefined
  const client = createClient(createRestTransport(await loadKubeconfig(kubeconfig)))
  await client.resource(nodes).list()
  return client
}

async function hasReadyNode(client: Client): Promise<boolean> {
  const { items } = await client.resource(nodes).list()
  return items.some(({ status }) => status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') === true)
}

/** Makes nodes that nobody runs. */
async function makeNodes(client: Client): Promise<void> {
  for (const name of fakeNodes)
    await client.resource(nodes).create({
      metadata: { name, labels: { 'kubernetes.io/hostname': name, 'kubernetes.io/os': 'linux' } },
      spec: {},
    })
}

/** Says of the nodes that they are Ready. */
async function sayReady(client: Client): Promise<void> {
  const resources = { cpu: '8', memory: '16Gi', pods: '110' }
  const now = `${new Date().toISOString().slice(0, 19)}Z`
  const said = { type: 'Ready', status: 'True', reason: 'NoKubelet', message: 'nothing runs here' }
  const ready = { ...said, lastHeartbeatTime: now, lastTransitionTime: now }
  for (const name of fakeNodes) {
    const patch = { status: { capacity: resources, allocatable: resources, conditions: [ready] } }
    await client.resource(nodes).patch(name, patch, { type: 'strategic', subresource: 'status' })
  }
}

/** Says it again and again until the signal aborts. */
async function keepReady(client: Client, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await sleep(heartbeatMs, undefined, { signal }).catch(() => {})
    // A server that does not answer fails the tests, not this.
    if (!signal.aborted) await sayReady(client).catch(() => {})
  }
}

/** Asks a process to end, and makes it after half a minute. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), 30_000)
  await ended
  clearTimeout(force)
}
