import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, go, hasGo, kubernetesRelease, prepareKubernetesModule, versionFlags } from '../../src/kubernetes-module.ts'

const etcd = '3.6.16'

/** Programs of the original, built. */
export interface Programs {
  readonly apiServer: string
  readonly etcd: string
}

/** Builds kube-apiserver and etcd from their Go modules, once, into a folder of the user's cache; some minutes the first time. Throws when there is no Go. */
export async function buildPrograms(): Promise<Programs> {
  const cache = cacheFolder('k3s-difference')
  const programs: Programs = { apiServer: join(cache, `kube-apiserver-${kubernetesRelease}`), etcd: join(cache, `etcd-${etcd}`) }
  if (existsSync(programs.apiServer) && existsSync(programs.etcd)) return programs
  if (!hasGo())
    throw new Error(
      'Cannot build a real kube-apiserver: there is no Go. Install Go 1.26 or newer, or run the recorded facts with: vitest run --project e2e difference',
    )
  if (!existsSync(programs.etcd)) await buildEtcd(cache, programs.etcd)
  if (!existsSync(programs.apiServer)) await buildApiServer(cache, programs.apiServer)
  return programs
}

async function buildEtcd(cache: string, program: string): Promise<void> {
  const folder = join(cache, `etcd-${etcd}-source`)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'go.mod'), `module difference/etcd\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 v${etcd}\n`)
  console.log(`Building etcd ${etcd}`)
  await go(folder, 'build', '-p', '2', '-o', program, 'go.etcd.io/etcd/server/v3')
}

async function buildApiServer(cache: string, program: string): Promise<void> {
  const folder = join(cache, `kubernetes-${kubernetesRelease}-source`)
  await prepareKubernetesModule(folder)
  console.log(`Building kube-apiserver ${kubernetesRelease}: some minutes`)
  await go(folder, 'build', '-p', '2', '-trimpath', '-ldflags', versionFlags, '-o', program, 'k8s.io/kubernetes/cmd/kube-apiserver')
}
