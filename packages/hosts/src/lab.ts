import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { countProcesses, detectCgroups, makeGroups, removeGroups, type CgroupLayout } from './cgroups.ts'
import { exitOf, readAll, type ExecOptions, type ExecResult, type Host, type HostProcess, type SpawnOptions } from './host.ts'
import { initScript } from './init-script.ts'

export interface LabOptions {
  /** Tells the labs of one process apart: at most 8 lower-case letters and digits. */
  readonly id: string
}

/**
 * A little data centre on this machine: hosts that are network, mount, process, IPC and cgroup namespaces, on one switch.
 * When the process that made it dies, even by SIGKILL, all hosts die with it.
 */
export interface Lab extends AsyncDisposable {
  /** A folder for the lab's files. */
  readonly folder: string
  /** The outside world's address on the switch. */
  readonly gateway: string
  /** Hosts are numbered in the order of their making: 172.30.0.11, .12, … */
  addHost(name: string): Promise<Host>
  /** Runs a program in the outside world: on the switch, beside all hosts. */
  exec(command: string, args: readonly string[], options?: ExecOptions): Promise<ExecResult>
  spawn(command: string, args: readonly string[], options: SpawnOptions): HostProcess
}

const gateway = '172.30.0.1'
const bootMs = 20_000
const defaultExecMs = 60_000

async function run(command: string, args: readonly string[]): Promise<string> {
  const result = await execute(command, args)
  if (result.code !== 0) throw new Error(`Cannot run "${[command, ...args].join(' ')}": ${result.stderr.trim()}`)
  return result.stdout
}

/** Adds to the environment that the caller's own programs get. */
function withEnv(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): readonly [string, readonly string[]] {
  const added = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  return added.length === 0 ? [command, args] : ['env', [...added, command, ...args]]
}

async function execute(command: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? defaultExecMs)
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout])
  const child = spawn(...withEnv(command, args, options.env), { stdio: ['pipe', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' })
  child.stdin.on('error', () => {}) // a program that ends before it read all says so by its exit
  child.stdin.end(options.input ?? '')
  const [stdout, stderr, code] = await Promise.all([readAll(child.stdout), readAll(child.stderr), exitOf(child)])
  return { code: typeof code === 'number' ? code : 128, stdout, stderr }
}

function start(command: string, args: readonly string[], options: SpawnOptions): HostProcess {
  const log = openSync(options.logFile, 'a')
  const child = spawn(...withEnv(command, args, options.env), { stdio: ['ignore', log, log] })
  closeSync(log)
  const { pid } = child
  if (pid === undefined) throw new Error(`Cannot start "${command}"`)
  return { pid, exited: exitOf(child), kill: (signal) => child.kill(signal) }
}

/** What a host keeps over a reboot: folders of the lab that stand in for the host's own. */
const kept = {
  rancher: '/var/lib/rancher',
  kubelet: '/var/lib/kubelet',
  containerd: '/var/lib/containerd',
  cni: '/var/lib/cni',
  pods: '/var/log/pods',
  logs: '/var/log/containers',
} as const

interface Place {
  readonly netns: string
  readonly group: string
  readonly cgroups: CgroupLayout
  readonly link: string
  readonly mac: string
}

class LabHost implements Host {
  readonly name: string
  readonly ip: string
  readonly #lab: Place
  readonly #folder: string
  #pid = 0
  #boot: ChildProcess | undefined

  constructor(name: string, ip: string, folder: string, lab: Place) {
    this.name = name
    this.ip = ip
    this.#folder = folder
    this.#lab = lab
  }

  /** The caller's number of the host's first process. */
  get pid(): number {
    return this.#pid
  }

  async boot(): Promise<void> {
    const { netns, group, cgroups, link, mac } = this.#lab
    for (const name of ['etc', 'etc-work', ...Object.keys(kept)]) mkdirSync(join(this.#folder, name), { recursive: true })
    for (const target of Object.values(kept)) mkdirSync(target, { recursive: true })
    await rm(join(this.#folder, 'ready'), { force: true })
    await makeGroups(cgroups, group)
    await writeFile(join(this.#folder, 'init.sh'), initScript({ name: this.name, folder: this.#folder, binds: kept, cgroups }))
    const enter = `${cgroups.roots.map((root) => `echo $$ > ${root}/${group}/cgroup.procs`).join('; ')}; exec unshare --mount --net --uts --ipc --pid --cgroup --fork --propagation private sh "${join(this.#folder, 'init.sh')}"`
    // Its first process reads this pipe: when we die, the pipe ends and the host with it.
    const boot = spawn('sh', ['-c', enter], { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
    this.#boot = boot
    let complaint = ''
    boot.stderr.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString()}`.slice(-2000)))
    boot.stdout.resume()
    const deadline = performance.now() + bootMs
    for (;;) {
      this.#pid = this.#firstProcess(boot.pid ?? 0)
      if (this.#pid !== 0 && isThere(join(this.#folder, 'ready'))) break
      if (boot.exitCode !== null || performance.now() > deadline)
        throw new Error(`Cannot start host "${this.name}": ${complaint.trim() || 'it did not come up in time'}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    await run('ip', ['-n', netns, 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'address', mac, 'netns', String(this.#pid)])
    await run('ip', ['-n', netns, 'link', 'set', link, 'master', 'br0', 'up'])
    const network = [
      'ip link set lo up',
      `ip addr add ${this.ip}/24 dev eth0`,
      'ip link set eth0 up',
      `ip route add default via ${gateway}`,
    ].join(' && ')
    await run('nsenter', ['-t', String(this.#pid), '-n', 'sh', '-c', network])
  }

  #firstProcess(bootPid: number): number {
    try {
      return Number(readFileSync(`/proc/${bootPid}/task/${bootPid}/children`, 'utf8').trim().split(' ')[0] ?? 0)
    } catch {
      return 0 // not yet, or already gone: the caller's deadline decides
    }
  }

  /** Enters all of the host's namespaces, and its cgroups first, so that what runs is accounted to it. */
  #inside(command: string, args: readonly string[]): readonly [string, readonly string[]] {
    const { cgroups, group } = this.#lab
    const join = cgroups.roots.map((root) => `echo $$ > ${root}/${group}/cgroup.procs`).join('; ')
    return ['sh', ['-c', `${join}; exec nsenter -t ${this.#pid} -m -n -u -i -p -C "$@"`, 'sh', command, ...args]]
  }

  exec(command: string, args: readonly string[], options?: ExecOptions): Promise<ExecResult> {
    return execute(...this.#inside(command, args), options)
  }

  spawn(command: string, args: readonly string[], options: SpawnOptions): HostProcess {
    return start(...this.#inside(command, args), options)
  }

  path(file: string): string {
    return `/proc/${this.#pid}/root${file}`
  }

  async closeInbound({ openUdpPorts }: { readonly openUdpPorts: readonly number[] }): Promise<void> {
    const open = openUdpPorts.length === 0 ? '' : `iifname "eth0" udp dport { ${openUdpPorts.join(', ')} } accept\n`
    // Before any port is translated, so that what others forward or publish on this host is closed to them as well.
    const chain = `chain inbound { type filter hook prerouting priority -150\n iifname != "eth0" accept\n ct state established,related accept\n ${open} drop\n }\n`
    const rules = `add table inet edge\ndelete table inet edge\ntable inet edge {\n${chain}}\n`
    const { code, stderr } = await this.exec('nft', ['-f', '-'], { input: rules })
    if (code !== 0) throw new Error(`Cannot close host "${this.name}": ${stderr}`)
  }

  async setCable(state: 'in' | 'out'): Promise<void> {
    await run('ip', ['-n', this.#lab.netns, 'link', 'set', this.#lab.link, state === 'in' ? 'up' : 'down'])
  }

  async reboot(): Promise<void> {
    await this.#powerOff()
    await this.boot()
  }

  async #powerOff(): Promise<void> {
    if (this.#pid !== 0) {
      try {
        process.kill(this.#pid, 'SIGKILL')
      } catch {
        // it ended by itself
      }
      this.#pid = 0
    }
    this.#boot?.stdin?.destroy()
    const deadline = performance.now() + bootMs
    while (countProcesses(this.#lab.cgroups, this.#lab.group) > 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 20))
    // The kernel takes its time with the network of a host that ended, and this name is needed again.
    await execute('ip', ['-n', this.#lab.netns, 'link', 'del', this.#lab.link])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#powerOff()
    removeGroups(this.#lab.cgroups, this.#lab.group)
  }
}

function isThere(file: string): boolean {
  try {
    readFileSync(file)
    return true
  } catch {
    return false
  }
}

/** Labs whose maker was killed leave their switches behind. */
async function removeAbandoned(cgroups: CgroupLayout): Promise<void> {
  for (const netns of readdirSync('/run/netns')) {
    const pid = /^lab-[a-z0-9]+-(\d+)$/.exec(netns)?.[1]
    if (pid === undefined || isThere(`/proc/${pid}/stat`)) continue
    const { code, stdout } = await execute('ip', ['netns', 'pids', netns])
    if (code !== 0 || stdout.trim() !== '') continue
    await execute('ip', ['netns', 'del', netns])
    removeGroups(cgroups, netns)
  }
}

/** Makes an empty lab. Needs root. */
export async function createLab({ id }: LabOptions): Promise<Lab> {
  if (!/^[a-z0-9]{1,8}$/.test(id)) throw new Error(`Cannot make lab "${id}": at most 8 lower-case letters and digits are needed`)
  const folder = await mkdtemp(join(tmpdir(), `lab-${id}-`))
  // Several processes may make labs of one id side by side.
  const netns = `lab-${id}-${process.pid}`
  const cgroups = detectCgroups()
  const hosts: LabHost[] = []
  await mkdir('/run/netns', { recursive: true })
  await removeAbandoned(cgroups)
  await run('ip', ['netns', 'add', netns])
  const inside = (command: string, args: readonly string[]): readonly [string, readonly string[]] => [
    'nsenter',
    [`--net=/run/netns/${netns}`, command, ...args],
  ]
  for (const args of [
    ['link', 'set', 'lo', 'up'],
    ['link', 'add', 'br0', 'type', 'bridge'],
    ['addr', 'add', `${gateway}/24`, 'dev', 'br0'],
    ['link', 'set', 'br0', 'up'],
  ])
    await run('ip', ['-n', netns, ...args])
  // The switch is only a switch: its traffic passes no rules. A kernel without the filter has nothing to turn off.
  await execute(...inside('sh', ['-c', 'echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables']))
  return {
    folder,
    gateway,
    async addHost(name) {
      const number = hosts.length + 1
      const home = join(folder, name)
      await mkdir(home)
      const mac = `02:00:ac:1e:00:${(0x10 + number).toString(16).padStart(2, '0')}` // kept over reboots: neighbours remember it
      const host = new LabHost(name, `172.30.0.${10 + number}`, home, {
        netns,
        group: `${netns}/${name}`,
        cgroups,
        link: `v${number}`,
        mac,
      })
      hosts.push(host)
      await host.boot()
      return host
    },
    exec: (command, args, options) => execute(...inside(command, args), options),
    spawn: (command, args, options) => start(...inside(command, args), options),
    async [Symbol.asyncDispose]() {
      await Promise.all(hosts.map((host) => host[Symbol.asyncDispose]()))
      removeGroups(cgroups, netns)
      await execute('ip', ['netns', 'del', netns])
      await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
    },
  }
}
