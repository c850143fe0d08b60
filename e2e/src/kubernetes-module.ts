import { spawn, spawnSync } from 'node:child_process'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The release whose programs and tests this project is held against. */
export const kubernetesRelease = '1.36.3'

/** A folder of the user's cache for what is built from others' sources. */
export const cacheFolder = (name: string): string => join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), name)

const goEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${process.env['PATH'] ?? ''}:/usr/local/go/bin`,
  GOFLAGS: '-mod=mod -buildvcs=false',
  CGO_ENABLED: '0',
})

/** Whether there is a Go to build with. */
export const hasGo = (): boolean => spawnSync('go', ['version'], { env: goEnvironment() }).status === 0

/** Runs Go in a folder and gives its output. Rejects with what it complained about. */
export async function go(folder: string, ...args: readonly string[]): Promise<string> {
  const child = spawn('go', args, { cwd: folder, env: goEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  const complaints: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk))
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  if (code !== 0) throw new Error(`go ${args[0] ?? ''} failed:\n${Buffer.concat(complaints).toString()}`)
  return Buffer.concat(output).toString()
}

/** Linker flags by which Kubernetes' programs know their own version. */
export const versionFlags: string = ((): string => {
  const version = 'k8s.io/component-base/version'
  const minor = kubernetesRelease.split('.')[1] ?? ''
  return `-s -w -X ${version}.gitVersion=v${kubernetesRelease} -X ${version}.gitMajor=1 -X ${version}.gitMinor=${minor}`
})()

/** Makes `folder` a Go module in which Kubernetes' packages build. Kubernetes' own module replaces its parts by folders of its repository; this one asks for the published ones. */
export async function prepareKubernetesModule(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const { Dir: source } = JSON.parse(await go(folder, 'mod', 'download', '-json', `k8s.io/kubernetes@v${kubernetesRelease}`)) as {
    readonly Dir: string
  } // go's own format
  const original = await readFile(join(source, 'go.mod'), 'utf8')
  const staging = `v0.${kubernetesRelease.slice(2)}`
  const required = [...original.matchAll(/^require \(\n([\s\S]*?)^\)/gm)].map(([, lines = '']) =>
    lines.replaceAll(/^(\tk8s\.io\/[a-z-]+) v0\.0\.0(?=\s)/gm, `$1 ${staging}`),
  )
  const replaced = [...original.matchAll(/^\t(k8s\.io\/[a-z0-9-]+) => \.\/staging/gm)].map(
    ([, name = '']) => `\t${name} => ${name} ${staging}`,
  )
  const parts = [
    'module k3s/kubernetes',
    /^go .*$/m.exec(original)?.[0] ?? 'go 1.26.0',
    ...[...original.matchAll(/^godebug .*$/gm)].map(([line]) => line),
    `require k8s.io/kubernetes v${kubernetesRelease}`,
    ...required.map((text) => `require (\n${text})`),
    `replace (\n${replaced.join('\n')}\n)`,
  ]
  await writeFile(join(folder, 'go.mod'), `${parts.join('\n\n')}\n`)
  await copyFile(join(source, 'go.sum'), join(folder, 'go.sum'))
}
