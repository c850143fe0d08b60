import { readFile } from 'node:fs/promises'
import { createCriClient } from '@k3s/cri-client'
import type { Host } from '@k3s/hosts'

const state = '/run/k3s/containerd'

/** The pod UIDs that a host's runtime has a running sandbox or container of, each once for every one of these. */
export async function runningInRuntime(
  host: Host,
): Promise<{ readonly sandboxes: readonly string[]; readonly containers: readonly string[] }> {
  await using cri = createCriClient({ endpoint: `unix://${host.path(`${state}/containerd.sock`)}` })
  const uid = ({ labels }: { readonly labels: Readonly<Record<string, string>> }): string => labels['io.kubernetes.pod.uid'] ?? ''
  const [{ items }, { containers }] = await Promise.all([cri.listPodSandbox({}), cri.listContainers({})])
  return {
    sandboxes: items
      .filter((one) => one.state === 'SANDBOX_READY')
      .map(uid)
      .toSorted(),
    containers: containers
      .filter((one) => one.state === 'CONTAINER_RUNNING')
      .map(uid)
      .toSorted(),
  }
}

/** The host's own number of its containerd. */
export async function containerdPid(host: Host): Promise<number> {
  const { pid } = JSON.parse(await readFile(host.path(`${state}/k3s-containerd.json`), 'utf8')) as { pid: number } // the server's own file
  return pid
}
