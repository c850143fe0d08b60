import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createLab, type ExecOptions, type ExecResult, type Host, type HostProcess, type Lab } from '@k3s/hosts'
import { writeBusyboxImage } from './images.ts'

export const busybox = 'test.local/busybox:1'
/** The same image by another name: what an update goes to. */
export const busyboxNext = 'test.local/busybox:2'

/** The launcher of the program under test. */
export const program: string = join(import.meta.dirname, '../../k3s')
// Less than a test may take, so that what was waited for is told.
const patienceMs = 50_000

/** What `k3s kubectl` would run, without the launcher's start at each of many calls. */
export const kubectlCommand: string =
  spawnSync('sh', ['-c', 'command -v kubectl'], { encoding: 'utf8' }).stdout.trim() || `"${program}" kubectl`

/** A k3s process on a host. */
export interface Member {
  readonly host: Host
  readonly logFile: string
  process: HostProcess
}

/** A cluster of real processes on network-namespace hosts: what a body of an end-to-end test runs on. */
export interface Cluster extends AsyncDisposable {
  readonly lab: Lab
  readonly server: Member
  readonly agents: readonly Member[]
  /** From the launch of the server to kubectl's sight of its node as Ready. */
  readonly readyMs: number
  /** A host with the busybox image in place and nothing running. */
  addHost(name: string): Promise<Host>
  /** The content of the server's token file. */
  token(): Promise<string>
  addAgent(name: string, options?: { readonly isClosed?: boolean; readonly args?: readonly string[] }): Promise<Member>
  /** Starts a member again that was killed. */
  start(member: Member, args?: readonly string[]): void
  /** kubectl on the server's host; throws when it fails. */
  kubectl(args: string, options?: ExecOptions): Promise<string>
  /** As {@link Cluster.kubectl}, giving the exit code. */
  tryKubectl(args: string, options?: ExecOptions): Promise<ExecResult>
  apply(manifest: string): Promise<string>
  waitForNode(name: string): Promise<void>
}

/** Polls until `probe` gives something; throws with the last reason when it does not in time. */
export async function until<T>(what: string, probe: () => Promise<T | undefined>, timeoutMs = patienceMs): Promise<T> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const found = await probe()
      if (found !== undefined) return found
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline)
      throw new Error(`Gave up waiting: ${what}${last === undefined ? '' : `: ${last instanceof Error ? last.message : String(last)}`}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Starts a server on a host of its own, with its node Ready and the busybox image present. */
export async function startCluster(id: string, options: { readonly args?: readonly string[] } = {}): Promise<Cluster> {
  // What it sets up by itself on first use needs the outside world, which hosts do not have.
  const setup = spawnSync(program, ['--version'], { encoding: 'utf8' })
  if (setup.status !== 0) throw new Error(`Cannot set up the program: ${setup.stderr}`)
  const lab = await createLab({ id })
  const image = join(lab.folder, 'busybox.tar')
  await writeBusyboxImage(image, [busybox, busyboxNext])
  const agents: Member[] = []

  async function prepare(name: string): Promise<Host> {
    const host = await lab.addHost(name)
    const images = host.path('/var/lib/rancher/k3s/agent/images')
    await mkdir(images, { recursive: true })
    await copyFile(image, join(images, 'busybox.tar'))
    return host
  }

  function launch(host: Host, args: readonly string[]): Member {
    const logFile = join(lab.folder, `${host.name}.log`)
    return { host, logFile, process: host.spawn(program, args, { logFile }) }
  }

  const serverArgs = ['server', ...(options.args ?? [])]
  const serverHost = await prepare('server')
  const launchedMs = performance.now()
  let readyMs = 0
  const server = launch(serverHost, serverArgs)
  /** What a client that could not connect cannot know. */
  async function whyNotServed({ stderr }: ExecResult): Promise<string> {
    if (!/refused|EOF|reset/.test(stderr)) return ''
    const exit = await Promise.race([server.process.exited, new Promise<string>((resolve) => setTimeout(resolve, 100, 'running'))])
    const log = await readFile(server.logFile, 'utf8').catch(() => '')
    return `\nThe server is ${typeof exit === 'number' ? `gone with code ${exit}` : exit}:\n${log.split('\n').slice(-40).join('\n')}`
  }

  const cluster: Cluster = {
    lab,
    server,
    agents,
    get readyMs() {
      return readyMs
    },
    addHost: prepare,
    async token() {
      return (await readFile(server.host.path('/var/lib/rancher/k3s/server/node-token'), 'utf8')).trim()
    },
    async addAgent(name, { isClosed = false, args = [] } = {}) {
      const host = await prepare(name)
      if (isClosed) await host.closeInbound({ openUdpPorts: [8472] })
      const member = launch(host, ['agent', '--server', `https://${server.host.ip}:6443`, '--token', await cluster.token(), ...args])
      agents.push(member)
      return member
    },
    start(member, args) {
      member.process = member.host.spawn(program, args ?? serverArgs, { logFile: member.logFile })
    },
    async kubectl(args, run) {
      const result = await cluster.tryKubectl(args, run)
      if (result.code !== 0) throw new Error(`kubectl ${args}: ${result.stderr}${result.stdout}${await whyNotServed(result)}`)
      return result.stdout
    },
    tryKubectl: (args, run) =>
      server.host.exec('sh', ['-c', `export KUBECONFIG=\${KUBECONFIG-/etc/rancher/k3s/k3s.yaml}; exec ${kubectlCommand} ${args}`], run),
    apply: (manifest) => cluster.kubectl('apply -f -', { input: manifest }),
    async waitForNode(name) {
      await until(`node ${name} is Ready`, async () =>
        (await cluster.tryKubectl(`get node ${name} -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'`)).stdout === 'True'
          ? true
          : undefined,
      )
    },
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  }
  try {
    await until('the server writes its kubeconfig', async () => {
      if (existsSync(server.host.path('/etc/rancher/k3s/k3s.yaml'))) return true
      return undefined
    })
    await cluster.waitForNode('server')
    readyMs = performance.now() - launchedMs
  } catch (error) {
    const log = await readFile(server.logFile, 'utf8').catch(() => '')
    await cluster[Symbol.asyncDispose]()
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${log.split('\n').slice(-40).join('\n')}`, { cause: error })
  }
  return cluster
}
