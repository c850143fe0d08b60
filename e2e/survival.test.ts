import { existsSync, readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { HostProcess } from '@k3s/hosts'
import { busybox, program, startCluster, until, type Cluster } from './src/cluster.ts'
import { complaint, end, eventually, identityOf, programPid, waitForLog, type PodIdentity } from './src/program.ts'
import { containerdPid, runningInRuntime } from './src/runtime.ts'
import type { Report } from './src/writer.ts'

const workload = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: "${busybox}"
        command: [httpd, -f, -p, "8080", -h, /www]
        readinessProbe: {httpGet: {path: /cgi-bin/hello, port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: scratch, mountPath: /scratch}]
      volumes: [{name: scratch, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
`

describe('a server that is killed', () => {
  let cluster: Cluster

  const names = async (what: string): Promise<readonly string[]> =>
    (await cluster.kubectl(`get ${what} -o name`)).split('\n').filter((line) => line !== '')
  const identities = async (): Promise<Readonly<Record<string, PodIdentity>>> =>
    Object.fromEntries(
      await Promise.all(
        (await names('pods -l app=web')).map(async (name) => [name, identityOf(await cluster.kubectl(`get ${name} -o json`))]),
      ),
    )
  const isUp = async (): Promise<void> => {
    await eventually('the server answers', async () => {
      expect(await cluster.kubectl('get --raw /readyz')).toBe('ok')
    })
  }
  /** Kills the server and starts it again on the same data directory. */
  const crash = async (): Promise<void> => {
    await end(cluster.server, 'SIGKILL')
    cluster.start(cluster.server)
  }
  /** Exactly what the API says runs, and nothing else. */
  const nothingIsOrphaned = async (): Promise<void> => {
    await eventually('host and API agree', async () => {
      const pods = JSON.parse(await cluster.kubectl('get pods -A -o json')) as {
        items: { metadata: { uid: string }; status: { phase: string } }[]
      } // a PodList
      const uids = pods.items.map(({ metadata }) => metadata.uid).toSorted()
      expect(pods.items.map(({ status }) => status.phase)).toEqual(uids.map(() => 'Running'))
      expect(await runningInRuntime(cluster.server.host)).toEqual({ sandboxes: uids, containers: uids })
      expect(readdirSync(cluster.server.host.path('/var/lib/kubelet/pods')).toSorted()).toEqual(uids)
    })
  }

  beforeAll(async () => {
    cluster = await startCluster('survival')
    await cluster.apply(workload)
    await cluster.kubectl('rollout status deployment/web --timeout=60s')
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  describe('under load', () => {
    let writer: HostProcess
    let before: Readonly<Record<string, PodIdentity>>
    let containerd: number
    const reports = async (): Promise<readonly Report[]> =>
      (await readFile(join(cluster.lab.folder, 'writer.log'), 'utf8'))
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Report) // what the writer prints

    beforeAll(async () => {
      before = await identities()
      containerd = await containerdPid(cluster.server.host)
      writer = cluster.lab.spawn(
        process.execPath,
        [
          '--conditions=@k3s/source',
          join(import.meta.dirname, 'src/writer.ts'),
          cluster.server.host.path('/etc/rancher/k3s/k3s.yaml'),
          `https://${cluster.server.host.ip}:6443`,
        ],
        { logFile: join(cluster.lab.folder, 'writer.log') },
      )
      for (let round = 1; round <= 3; round++) {
        const already = (await reports().catch(() => [])).filter(([kind]) => kind === 'ack').length
        await until('the server acknowledges writes', async () =>
          (await reports()).filter(([kind]) => kind === 'ack').length > already + 300 ? true : undefined,
        )
        await crash()
      }
      await isUp()
      const already = (await reports()).length
      await until('the writer goes on', async () => ((await reports()).length > already + 100 ? true : undefined))
      writer.kill('SIGTERM')
      await writer.exited
    })

    it('has every object whose creation it acknowledged, and none whose deletion it acknowledged', async () => {
      const log = await reports()
      const stored = new Set((await names('configmaps')).map((name) => name.replace('configmap/', '')))
      const of = (kind: Report[0], verb: Report[1]): Set<string> =>
        new Set(log.filter((line) => line[0] === kind && line[1] === verb).map((line) => line[2]))
      const [created, tried, deleted, deleting] = [of('ack', 'create'), of('try', 'create'), of('ack', 'delete'), of('try', 'delete')]
      expect(created.size).toBeGreaterThan(300)
      expect(deleted.size).toBeGreaterThan(30)
      expect([...created].filter((name) => !stored.has(name) && !deleting.has(name))).toEqual([])
      expect([...deleted].filter((name) => stored.has(name))).toEqual([])
      expect([...stored].filter((name) => name.startsWith('made-') && !tried.has(name))).toEqual([])
    })

    it('has the newest update that it acknowledged of each object', async () => {
      const newest = new Map<string, { tried: number; acknowledged: number }>()
      for (const [kind, verb, name, value] of await reports()) {
        if (verb !== 'update') continue
        const entry = newest.get(name) ?? { tried: 0, acknowledged: 0 }
        newest.set(name, kind === 'try' ? { ...entry, tried: value } : { ...entry, acknowledged: value })
      }
      expect(newest.size).toBe(8)
      for (const [name, { tried, acknowledged }] of newest) {
        const value = Number(await cluster.kubectl(`get configmap ${name} -o jsonpath={.data.turn}`))
        expect(value, name).toBeGreaterThanOrEqual(acknowledged)
        expect(value, name).toBeLessThanOrEqual(tried)
      }
    })

    it('has not touched its pods: same containers, same addresses, same containerd', async () => {
      expect(await identities()).toEqual(before)
      expect(await containerdPid(cluster.server.host)).toBe(containerd)
      expect((await cluster.server.host.exec('kill', ['-0', String(containerd)])).code).toBe(0)
      expect((await cluster.kubectl(`exec deployment/web -- wget -qO- http://web/cgi-bin/hello`)).trim()).toMatch(/^web-/)
      await nothingIsOrphaned()
    })
  })

  it('finishes a scale-up that it was in the middle of', async () => {
    const before = await identities()
    await cluster.kubectl('scale deployment web --replicas=8')
    await crash()
    await isUp()
    await cluster.kubectl('rollout status deployment/web --timeout=60s')
    const after = await identities()
    expect(Object.keys(after)).toHaveLength(8)
    expect(after).toMatchObject(before)
    expect(Object.values(after).flatMap(({ containers }) => containers.map(({ restarts }) => restarts))).toEqual(
      Array.from({ length: 8 }, () => 0),
    )
    await nothingIsOrphaned()
  })

  it('finishes deletions that it was in the middle of, also of pods that are no longer in the API', async () => {
    const [first = '', second = ''] = await names('pods -l app=web')
    await cluster.kubectl(`delete ${first} --wait=false`)
    await cluster.kubectl(`delete ${second} --force --grace-period=0 --wait=false`)
    await crash()
    await isUp()
    await cluster.kubectl('rollout status deployment/web --timeout=60s')
    await eventually('both are gone', async () => {
      const left = await names('pods -l app=web')
      expect(left).toHaveLength(8)
      expect(left).not.toContain(first)
      expect(left).not.toContain(second)
    })
    await nothingIsOrphaned()
  })

  it('removes all of a namespace whose deletion it was in the middle of', async () => {
    await cluster.kubectl('create namespace doomed')
    await cluster.kubectl('-n doomed create configmap inside')
    await cluster.kubectl(
      `-n doomed run inside --image=${busybox} --overrides='{"spec":{"terminationGracePeriodSeconds":1}}' -- sleep 1000`,
    )
    await cluster.kubectl('-n doomed wait --for=condition=Ready pod/inside --timeout=60s')
    await cluster.kubectl('delete namespace doomed --wait=false')
    await crash()
    await isUp()
    await until('the namespace is gone', async () =>
      (await cluster.tryKubectl('get namespace doomed')).stderr.includes('not found') ? true : undefined,
    )
    await nothingIsOrphaned()
  })

  it('starts after it was killed at any moment of its start', async () => {
    const before = await identities()
    await end(cluster.server, 'SIGKILL')
    for (const ms of [300, 600, 900, 1200, 1500]) {
      cluster.start(cluster.server)
      await new Promise((resolve) => setTimeout(resolve, ms)) // the moment is what varies here
      if (programPid(cluster.server.process) !== undefined) await end(cluster.server, 'SIGKILL')
    }
    cluster.start(cluster.server)
    await isUp()
    await cluster.waitForNode('server')
    expect(await identities()).toEqual(before)
  })

  it('starts after it was killed at any moment of its very first start', async () => {
    const host = await cluster.addHost('fresh')
    const member = { host, logFile: join(cluster.lab.folder, 'fresh.log'), process: cluster.server.process }
    for (const ms of [250, 400, 550, 700, 850, 1000, 1200]) {
      cluster.start(member)
      await new Promise((resolve) => setTimeout(resolve, ms)) // as above
      if (programPid(member.process) !== undefined) await end(member, 'SIGKILL')
    }
    const from = (await readFile(member.logFile)).length
    cluster.start(member)
    await waitForLog(member, 'k3s is up and running', from)
    expect((await host.exec(program, ['kubectl', 'get', '--raw', '/readyz'])).stdout).toBe('ok')
    expect(await end(member, 'SIGTERM')).toBe(0)
  })

  it('stops within seconds at SIGTERM with exit code 0, leaves pods running, and finds them again', async () => {
    const before = await identities()
    // Clients that would never go by themselves.
    const streamLog = join(cluster.lab.folder, 'streams.log')
    const streams = ['get pods --watch', 'logs --follow deployment/web', 'exec deployment/web -- sleep 1000'].map((args) =>
      cluster.server.host.spawn('sh', ['-c', `exec ${program} kubectl ${args}`], { logFile: streamLog }),
    )
    await until('the streams are open', async () => {
      const { code } = await cluster.server.host.exec('pgrep', ['-xf', 'sleep 1000'])
      return code === 0 && (await readFile(streamLog, 'utf8')).includes('web-') ? true : undefined
    })
    const began = performance.now()
    expect(await end(cluster.server, 'SIGTERM')).toBe(0)
    expect(performance.now() - began).toBeLessThan(10_000)
    await Promise.all(streams.map(({ exited }) => exited))
    expect((await runningInRuntime(cluster.server.host)).containers).toHaveLength(Object.keys(before).length)
    const [one] = Object.values(before)
    expect((await cluster.server.host.exec('curl', ['-sm', '5', `http://${one?.podIP ?? ''}:8080/cgi-bin/hello`])).stdout).toMatch(/^web-/)
    cluster.start(cluster.server)
    await isUp()
    await cluster.waitForNode('server')
    expect(await identities()).toEqual(before)
    await nothingIsOrphaned()
  })

  it('lets only one process use a data directory', async () => {
    const { code, text } = await complaint(cluster.server.host, [
      'server',
      '--https-listen-port',
      '7443',
      '--write-kubeconfig',
      '/run/other.yaml',
    ])
    expect(code).toBe(1)
    expect(text).toMatch(
      /^k3s: Cannot open datastore "\/var\/lib\/rancher\/k3s\/server\/db\/state\.db": another process is using it; stop the other server, or give this one a data directory of its own$/,
    )
    expect(existsSync(cluster.server.host.path('/run/other.yaml'))).toBe(false)
    await isUp()
  })

  it('starts its pods again after a power cut of its host', async () => {
    const before = await identities()
    await cluster.server.host.reboot()
    cluster.start(cluster.server)
    await isUp()
    await eventually('all pods run again', async () => {
      const after = await identities()
      expect(Object.keys(after).toSorted()).toEqual(Object.keys(before).toSorted())
      for (const [name, { uid, containers }] of Object.entries(after)) {
        expect(uid).toBe(before[name]?.uid)
        expect(containers.map(({ restarts, startedAt }) => [restarts, startedAt === 'not running'])).toEqual([[1, false]])
      }
    })
    await nothingIsOrphaned()
  })
})
