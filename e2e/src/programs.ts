import { existsSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, go, hasGo, kubernetesRelease, prepareKubernetesModule, versionFlags } from './kubernetes-module.ts'

const etcdRelease = '3.6.16'

const packages = {
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  'e2e.test': 'k8s.io/kubernetes/test/e2e',
  ginkgo: 'github.com/onsi/ginkgo/v2/ginkgo',
  etcd: 'go.etcd.io/etcd/server/v3',
} as const

/** A program of the original. */
export type ProgramName = keyof typeof packages

/** A program is not there, and there is no Go to build it with. */
export class NoProgramError extends Error {
  override readonly name = 'NoProgramError'
}

/**
 * Where programs of the original are. Builds those that are missing from their Go modules, once, into the user's cache: some ten minutes in all.
 *
 * @param folder has them already, by their names; nothing is built.
 * @throws NoProgramError when it cannot.
 */
export async function findPrograms<Name extends ProgramName>(
  names: readonly Name[],
  folder?: string,
): Promise<Readonly<Record<Name, string>>> {
  const cache = cacheFolder(`k3s-kubernetes-${kubernetesRelease}`)
  const files = names.map((name) => [name, join(folder ?? cache, name)] as const)
  const missing = files.filter(([, file]) => !existsSync(file))
  const list = missing.map(([, file]) => file).join(', ')
  if (missing.length > 0 && folder !== undefined) throw new NoProgramError(`there is no ${list}`)
  if (missing.length > 0 && !hasGo()) throw new NoProgramError(`there is no Go to build ${list} with; install Go 1.26 or newer`)
  for (const [name, file] of missing) {
    console.error(`Building ${file}: some minutes`)
    await build(name, `${file}.part`, cache)
    // Named last, so that what is there is whole.
    await rename(`${file}.part`, file)
  }
  return Object.fromEntries(files) as Record<Name, string> // of all names
}

async function build(name: ProgramName, file: string, cache: string): Promise<void> {
  const source = join(cache, name === 'etcd' ? 'etcd-source' : 'source')
  if (name === 'etcd') {
    await mkdir(source, { recursive: true })
    await writeFile(join(source, 'go.mod'), `module k3s/etcd\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 v${etcdRelease}\n`)
    await go(source, 'build', '-p', '2', '-o', file, packages.etcd)
    return
  }
  await prepareKubernetesModule(source)
  const common = ['-p', '2', '-trimpath', '-ldflags', versionFlags, '-o', file, packages[name]]
  await (name === 'e2e.test' ? go(source, 'test', '-c', ...common) : go(source, 'build', ...common))
}
