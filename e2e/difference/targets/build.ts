import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const kubernetes = '1.36.3'
const etcd = '3.6.16'

/** Programs of the original, built. */
export interface Programs {
  readonly apiServer: string
  readonly etcd: string
}

/** Builds kube-apiserver and etcd from their Go modules, once, into a folder of the user's cache; some minutes the first time. Throws when there is no Go. */
export async function buildPrograms(): Promise<Programs> {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'k3s-difference')
  const programs: Programs = { apiServer: join(cache, `kube-apiserver-${kubernetes}`), etcd: join(cache, `etcd-${etcd}`) }
  if (existsSync(programs.apiServer) && existsSync(programs.etcd)) return programs
  const found = spawnSync('go', ['version'], { env: goEnvironment() })
  if (found.status !== 0)
    throw new Error(
      'Cannot build a real kube-apiserver: there is no Go. Install Go 1.26 or newer, or run the recorded facts with: vitest run --project e2e difference',
    )
  if (!existsSync(programs.etcd)) await buildEtcd(cache, programs.etcd)
  if (!existsSync(programs.apiServer)) await buildApiServer(cache, programs.apiServer)
  return programs
}

const goEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${process.env['PATH'] ?? ''}:/usr/local/go/bin`,
  GOFLAGS: '-mod=mod -buildvcs=false',
  CGO_ENABLED: '0',
})

function go(folder: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('go', args, {
    cwd: folder,
    env: goEnvironment(),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  if (status !== 0) throw new Error(`go ${args[0] ?? ''} failed:\n${stderr}`)
  return stdout
}

async function buildEtcd(cache: string, program: string): Promise<void> {
  const folder = join(cache, `etcd-${etcd}-source`)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'go.mod'), `module difference/etcd\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 v${etcd}\n`)
  console.log(`Building etcd ${etcd}`)
  go(folder, 'build', '-p', '2', '-o', program, 'go.etcd.io/etcd/server/v3')
}

/** Kubernetes' own module replaces its parts by folders of its repository: a module of ours asks for the published ones. */
async function buildApiServer(cache: string, program: string): Promise<void> {
  const folder = join(cache, `kubernetes-${kubernetes}-source`)
  await mkdir(folder, { recursive: true })
  const { Dir: source } = JSON.parse(go(folder, 'mod', 'download', '-json', `k8s.io/kubernetes@v${kubernetes}`)) as { readonly Dir: string } // go's own format
  const original = await readFile(join(source, 'go.mod'), 'utf8')
  const staging = `v0.${kubernetes.slice(2)}`
  const required = [...original.matchAll(/^require \(\n([\s\S]*?)^\)/gm)].map(([, lines = '']) =>
    lines.replaceAll(/^(\tk8s\.io\/[a-z-]+) v0\.0\.0\b/gm, `$1 ${staging}`),
  )
  const replaced = [...original.matchAll(/^\t(k8s\.io\/[a-z0-9-]+) => \.\/staging/gm)].map(
    ([, name = '']) => `\t${name} => ${name} ${staging}`,
  )
  const goLine = /^go .*$/m.exec(original)?.[0] ?? 'go 1.26.0'
  const debug = [...original.matchAll(/^godebug .*$/gm)].map(([line]) => line)
  const lines = [
    'module difference/kubernetes',
    goLine,
    ...debug,
    `require k8s.io/kubernetes v${kubernetes}`,
    ...required.map((text) => `require (\n${text})`),
    `replace (\n${replaced.join('\n')}\n)`,
  ]
  await writeFile(join(folder, 'go.mod'), `${lines.join('\n\n')}\n`)
  await copyFile(join(source, 'go.sum'), join(folder, 'go.sum'))
  console.log(`Building kube-apiserver ${kubernetes}: some minutes`)
  const version = 'k8s.io/component-base/version'
  const flags = `-s -w -X ${version}.gitVersion=v${kubernetes} -X ${version}.gitMajor=1 -X ${version}.gitMinor=36`
  go(folder, 'build', '-p', '2', '-trimpath', '-ldflags', flags, '-o', program, 'k8s.io/kubernetes/cmd/kube-apiserver')
}
