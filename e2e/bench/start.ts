/**
 * Measures how long a server takes from its launch to its node's readiness (on an empty data directory) and a pod from
 * `kubectl run` to Running, both as kubectl sees them, and what the idle server weighs and uses: medians of three servers.
 * Run as root: `node --conditions=@k3s/source e2e/bench/start.ts`. Prints a row for docs/figures.md.
 */
import { cpus } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { busybox, startCluster, until, type Cluster } from '../src/cluster.ts'

/** What the server may settle before it is weighed. */
const idleMs = 20_000

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const seconds = (ms: number): string => (ms / 1000).toFixed(2)

interface Usage {
  readonly rssMb: number
  /** Of user and system together. */
  readonly cpuMs: number
}

/** Of the server's own process, found by its program: the launcher became it. */
async function usageOf(cluster: Cluster): Promise<Usage> {
  const script = `for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q 'main[.]js server' && { grep VmRSS $p/status; cut -d' ' -f14,15 $p/stat; }; done`
  const { stdout } = await cluster.server.host.exec('sh', ['-c', script])
  const match = /VmRSS:\s+(\d+) kB\n(\d+) (\d+)/.exec(stdout)
  if (match === null) throw new Error('Cannot find the server process')
  const [, kilobytes, user, system] = match
  const ticksMs = 10
  return { rssMb: (Number(kilobytes) * 1024) / 1e6, cpuMs: (Number(user) + Number(system)) * ticksMs }
}

/** Runs one cluster: starts a server on a new host, then pods one after the other, then leaves it alone. */
async function measure(pods: number): Promise<{ readonly readyMs: number; readonly podMs: readonly number[]; readonly idle: Usage }> {
  await using cluster = await startCluster('bench')
  const { readyMs } = cluster
  await until('pods are admitted', async () => ((await cluster.tryKubectl('get serviceaccount default')).code === 0 ? true : undefined))
  const podMs: number[] = []
  for (let index = 0; index < pods; index++) {
    const began = performance.now()
    await cluster.kubectl(`run pod-${index} --image=${busybox} --restart=Never -- sleep 3600`)
    await cluster.kubectl(`wait --for=jsonpath='{.status.phase}'=Running pod/pod-${index} --timeout=60s`)
    podMs.push(performance.now() - began)
  }
  await cluster.kubectl('delete pods --all --now')
  await sleep(idleMs)
  const before = await usageOf(cluster)
  await sleep(idleMs)
  const after = await usageOf(cluster)
  return { readyMs, podMs, idle: { rssMb: after.rssMb, cpuMs: after.cpuMs - before.cpuMs } }
}

const runs = []
for (let run = 0; run < 3; run++) runs.push(await measure(5))
const row = [
  new Date().toISOString().slice(0, 10),
  `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
  seconds(median(runs.map(({ readyMs }) => readyMs))),
  seconds(median(runs.flatMap(({ podMs }) => podMs))),
  median(runs.map(({ idle }) => idle.rssMb)).toFixed(0),
  ((median(runs.map(({ idle }) => idle.cpuMs)) / idleMs) * 100).toFixed(1),
]
console.log(`| ${row.join(' | ')} |`)
