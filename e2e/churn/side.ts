import { spawn, type ChildProcess } from 'node:child_process'
import { openSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRestTransport, renderKubeconfig, type ApiRequest, type RestTransport, type RenderKubeconfigOptions } from '@k3s/client'
import { issueCertificate, type KeyPair } from '@k3s/pki'
import { freePorts } from '../src/free-ports.ts'
import { planName, type Deletions } from './klog.ts'
import { toldMemory, type Memory } from './memory.ts'
import { apiServerArguments, etcdArguments, writeServerFiles, type ServerFiles } from '../src/server-files.ts'

/** Programs that take part. */
export type ChurnPrograms = Readonly<Record<'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kubectl' | 'etcd', string>>

/** Whose log is compared. */
export const components = ['kube-controller-manager', 'kube-scheduler', 'kubectl', 'hollow-nodes'] as const
export type Component = (typeof components)[number]

export type SideName = 'ours' | 'original'

const readyMs = 90_000
const endMs = 30_000
const kubectlMs = 180_000
const patienceMs = 60_000
// Documentation (RFC 5737): nobody dials it, and the server refuses endpoints on loopback.
export const advertisedAddress = '192.0.2.1'

/** One control plane: an API server, the original's controllers and scheduler, and what was done to it. Its logs stay in its folder. */
export class Side implements AsyncDisposable {
  readonly name: SideName
  readonly url: string
  readonly transport: RestTransport
  /** Lines of kubectl's standard error and of the hollow nodes. */
  readonly said: Readonly<Record<'kubectl' | 'hollow-nodes', string[]>> = { kubectl: [], 'hollow-nodes': [] }
  readonly #deletions = new Map<string, number>()
  readonly #folder: string
  readonly #files: ServerFiles
  readonly #kubectl: string
  readonly #children: { readonly name: string; readonly child: ChildProcess }[] = []

  constructor(options: {
    readonly name: SideName
    readonly folder: string
    readonly files: ServerFiles
    readonly url: string
    readonly kubectl: string
  }) {
    const { name, folder, files, url, kubectl } = options
    this.name = name
    this.url = url
    this.#folder = folder
    this.#files = files
    this.#kubectl = kubectl
    this.transport = createRestTransport({ server: url, ca: files.ca.cert, ...files.admin, userAgent: 'churn' })
  }

  /** How to reach it as somebody else. */
  async credentials(commonName: string, organizations: readonly string[] = []): Promise<RenderKubeconfigOptions & KeyPair> {
    const { ca } = this.#files
    return { server: this.url, ca: ca.cert, ...(await issueCertificate(ca, { commonName, organizations, usages: ['client'] })) }
  }

  /** The answer's body. Throws a StatusError when it is refused. */
  async ask(method: ApiRequest['method'], path: string, body?: unknown, contentType?: string): Promise<Readonly<Record<string, unknown>>> {
    const [plain = '', query] = path.split('?')
    if (method === 'DELETE') {
      const last = plain.split('/').at(-1) ?? ''
      // All of a kind in a namespace, else.
      this.#noteDeletion(planName.test(last) ? last : plain)
    }
    const answer = await this.transport.request({
      method,
      path: plain,
      body,
      contentType,
      query: query === undefined ? undefined : Object.fromEntries(new URLSearchParams(query)),
    })
    return answer.body as Readonly<Record<string, unknown>> // every answer that is asked for is an object
  }

  /** When what the plan made was deleted. */
  get deletions(): Deletions {
    return this.#deletions
  }

  #noteDeletion(text: string): void {
    for (const [name] of text.matchAll(new RegExp(planName, 'g'))) this.#deletions.set(name, Date.now())
  }

  /** Polls until `probe` is not refused; throws its last reason after a minute. */
  async until<T>(what: string, probe: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      try {
        return await probe()
      } catch (error) {
        if (performance.now() > deadline)
          throw new Error(`Gave up waiting: ${what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      }
      await sleep(200)
    }
  }

  /** Runs kubectl as the administrator; what it complains about is kept. Throws when it fails. */
  async runKubectl(args: readonly string[], input = ''): Promise<string> {
    if (args.includes('delete')) this.#noteDeletion(input)
    const common = ['--kubeconfig=admin.kubeconfig', '--cache-dir=kubectl-cache']
    const child = spawn(this.#kubectl, [...common, ...args], { cwd: this.#folder, timeout: kubectlMs, stdio: ['pipe', 'pipe', 'pipe'] })
    const output = { out: '', error: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.error += text))
    // A kubectl that ended before it read its input says itself why.
    child.stdin.on('error', () => {}).end(input)
    const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
    const lines = output.error.split('\n').filter((line) => line !== '')
    this.said.kubectl.push(...lines)
    if (code !== 0) {
      if (lines.length === 0) this.said.kubectl.push(`error: kubectl ${args.slice(0, 2).join(' ')} ended with code ${code}`)
      throw new Error(`kubectl ${args.join(' ')}: ${lines.join('; ')}`)
    }
    return output.out
  }

  /** Lines that a component logged. */
  async logOf(component: Component): Promise<readonly string[]> {
    if (component === 'kubectl' || component === 'hollow-nodes') return this.said[component]
    return (await readFile(join(this.#folder, `${component}.log`), 'utf8')).split('\n')
  }

  /** Processes that ended although nobody ended them. */
  get dead(): readonly string[] {
    return this.#children.filter(({ child }) => child.exitCode !== null || child.signalCode !== null).map(({ name }) => name)
  }

  /** Processor time of each process so far, in seconds. */
  async processorSeconds(): Promise<Readonly<Record<string, number>>> {
    const times: Record<string, number> = {}
    for (const { name, child } of this.#children) {
      const fields = (await readFile(`/proc/${child.pid}/stat`, 'utf8').catch(() => '')).split(') ')[1]?.split(' ') ?? []
      // Fields 14 and 15 of proc(5), in hundredths of a second.
      times[name] = (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100
    }
    return times
  }

  /** Resident memory of each process now, and what our server said last of its own. */
  async memory(): Promise<Memory> {
    const sizes: Record<string, number> = {}
    for (const { name, child } of this.#children) {
      const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '')) ?? []
      if (kilobytes !== undefined) sizes[name] = Number(kilobytes) / 1024
    }
    return this.name === 'ours' ? { ...sizes, ...toldMemory(await readFile(join(this.#folder, 'api-server.log'), 'utf8')) } : sizes
  }

  run(name: string, program: string, args: readonly string[]): void {
    const log = openSync(join(this.#folder, `${name}.log`), 'w')
    this.#children.push({ name, child: spawn(program, args, { cwd: this.#folder, stdio: ['ignore', log, log] }) })
  }

  async untilReady(): Promise<void> {
    const deadline = performance.now() + readyMs
    for (;;) {
      // Of what a server makes at its start, this comes last.
      const isReady = await this.ask(
        'GET',
        '/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings/system::leader-locking-kube-scheduler',
      ).then(
        () => true,
        () => false,
      )
      if (isReady) return
      if (this.dead.length > 0 || performance.now() > deadline)
        throw new Error(`Cannot start ${this.name}: ${this.dead.join(', ') || 'nobody'} ended; see ${this.#folder}`)
      await sleep(100)
    }
  }

  /** Ends its processes, the last first. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.transport[Symbol.asyncDispose]()
    for (const { child } of this.#children.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill()
      const force = setTimeout(() => child.kill('SIGKILL'), endMs)
      await ended
      clearTimeout(force)
    }
  }
}

/** Starts a control plane in `folder`, which must be empty. Rejects when its API server is not ready in 90 seconds. */
export async function startSide(name: SideName, programs: ChurnPrograms, folder: string): Promise<Side> {
  await mkdir(folder, { recursive: true })
  const files = await writeServerFiles(folder)
  const [port = 0, controllers = 0, scheduler = 0, client = 0, peer = 0] = await freePorts(5)
  const side = new Side({ name, folder, files, url: `https://127.0.0.1:${port}`, kubectl: programs.kubectl })
  try {
    if (name === 'ours') {
      const script = join(import.meta.dirname, 'serve.ts')
      side.run('api-server', process.execPath, ['--conditions=@k3s/source', script, 'sqlite:store.db', String(port)])
    } else {
      side.run('etcd', programs.etcd, etcdArguments(client, peer))
      side.run('api-server', programs['kube-apiserver'], [...apiServerArguments(port, `http://127.0.0.1:${client}`), ...likeOurs])
    }
    await side.untilReady()
    await writeFile(join(folder, 'admin.kubeconfig'), renderKubeconfig({ server: side.url, ca: files.ca.cert, ...files.admin }))
    for (const component of ['kube-controller-manager', 'kube-scheduler'] as const)
      await writeFile(join(folder, `${component}.kubeconfig`), renderKubeconfig(await side.credentials(`system:${component}`)))
    side.run('kube-controller-manager', programs['kube-controller-manager'], [
      ...common('kube-controller-manager', controllers),
      '--use-service-account-credentials=true',
      '--service-account-private-key-file=accounts.key',
      '--root-ca-file=ca.crt',
      '--cluster-signing-cert-file=ca.crt',
      '--cluster-signing-key-file=ca.key',
      '--allocate-node-cidrs=true',
      '--cluster-cidr=10.42.0.0/16',
      '--service-cluster-ip-range=10.43.0.0/16',
      '--flex-volume-plugin-dir=flex-volumes',
    ])
    side.run('kube-scheduler', programs['kube-scheduler'], common('kube-scheduler', scheduler))
    return side
  } catch (error) {
    await side[Symbol.asyncDispose]()
    throw error
  }
}

/** What serve.ts gives our server, too. */
const likeOurs = [
  `--advertise-address=${advertisedAddress}`,
  '--endpoint-reconciler-type=lease',
  '--requestheader-client-ca-file=ca.crt',
  '--requestheader-allowed-names=front-proxy',
  '--requestheader-username-headers=X-Remote-User',
  '--requestheader-group-headers=X-Remote-Group',
  '--requestheader-extra-headers-prefix=X-Remote-Extra-',
  '--proxy-client-cert-file=proxy.crt',
  '--proxy-client-key-file=proxy.key',
]

function common(component: string, port: number): readonly string[] {
  const file = `${component}.kubeconfig`
  return [
    `--kubeconfig=${file}`,
    `--authentication-kubeconfig=${file}`,
    `--authorization-kubeconfig=${file}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    '--cert-dir=.',
  ]
}
