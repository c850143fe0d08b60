/** The programs that are measured beside ours, built from their Go modules into a cache when Go is there. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'

/** Of the kine that is built. */
export const kineVersion = 'v0.17.5'
const etcdVersion = 'v3.6.16'

const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'k3s-datastore-bench')
const programs = join(cache, 'bin')
const path = [process.env['PATH'], '/usr/local/go/bin'].join(delimiter)

export interface Peers {
  /** Puts the load on servers of the etcd API. */
  readonly load: string | undefined
  readonly kine: string | undefined
  /** The machine's own etcd. */
  readonly etcd: string | undefined
  readonly newEtcd: string | undefined
}

/** Builds what is missing; says on standard error what there will not be, and why. */
export function findPeers(): Peers {
  mkdirSync(programs, { recursive: true })
  const hasGo = spawnSync('go', ['version'], { env: { ...process.env, PATH: path } }).status === 0
  if (!hasGo) console.error('NO GO ON THIS MACHINE: nothing is measured through the etcd API, and not kine')
  const machinesEtcd = spawnSync('etcd', ['--version']).status === 0 ? 'etcd' : undefined
  if (machinesEtcd === undefined) console.error('NO ETCD ON THIS MACHINE: apt-get install etcd-server')
  return {
    load: hasGo ? buildLoad() : undefined,
    kine: hasGo ? buildKine() : undefined,
    etcd: machinesEtcd,
    newEtcd: hasGo ? buildEtcd() : undefined,
  }
}

function go(args: readonly string[], cwd: string, environment: NodeJS.ProcessEnv = {}): boolean {
  const env = { ...process.env, PATH: path, GOFLAGS: '-buildvcs=false', ...environment }
  const { status, stderr } = spawnSync('go', args, { cwd, env, encoding: 'utf8', maxBuffer: 2 ** 26 })
  if (status !== 0) console.error(`GO ${args.join(' ')} FAILED:\n${stderr.slice(-2000)}`)
  return status === 0
}

function buildLoad(): string | undefined {
  const program = join(programs, 'etcd-load')
  console.error('Building the load')
  return go(['build', '-o', program, '.'], join(import.meta.dirname, 'etcd-load')) ? program : undefined
}

function buildKine(): string | undefined {
  const program = join(programs, 'kine')
  if (existsSync(program)) return program
  console.error(`Building kine ${kineVersion}: this takes some minutes`)
  const flags = ['-trimpath', '-ldflags', '-s -w']
  const environment = { GOBIN: programs, CGO_ENABLED: '1', CGO_CFLAGS: '-O2' }
  return go(['install', ...flags, `github.com/k3s-io/kine@${kineVersion}`], '/', environment) ? program : undefined
}

function buildEtcd(): string | undefined {
  const program = join(programs, 'etcd')
  if (existsSync(program)) return program
  console.error(`Building etcd ${etcdVersion}`)
  const module = join(cache, 'etcd')
  mkdirSync(module, { recursive: true })
  writeFileSync(join(module, 'go.mod'), `module bench/etcd\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 ${etcdVersion}\n`)
  return go(['build', '-mod=mod', '-o', program, 'go.etcd.io/etcd/server/v3'], module, { CGO_ENABLED: '0' }) ? program : undefined
}
