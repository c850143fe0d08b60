import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { configmaps, nodes, pods, type Container, type Pod, type PodSpec } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { readContainerLogs } from '@k3s/cri-client'
import { runAll } from '@k3s/lifecycle'
import { createKubelet } from '@k3s/kubelet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { busybox, busyboxArchive, createHost, type ContainerdHost, type RunningService } from './containerd-host.ts'

// Needs root, containerd 1.6 or newer, runc, the CNI plugins and busybox. The pods' network is in a namespace of its own.

const run = promisify(execFile)
const nodeName = 'real-node'
let host: ContainerdHost
let service: RunningService
let namespace: string
let cgroupRoot: string
let kubelet: { readonly stop: () => Promise<void> }
const api = new FakeApiServer()
const client = createClient(api)

const until = async <T>(what: string, check: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> => {
  const deadline = performance.now() + 40_000
  for (;;) {
    const value = await check()
    if (value !== undefined && value !== false) return value as Exclude<T, undefined | false> // just checked
    if (performance.now() > deadline)
      throw new Error(
        `Not within 40 s: ${what}\n${JSON.stringify(
          api.all(pods).map(({ status }) => status),
          undefined,
          1,
        )}\n${logged.join('\n')}`,
      )
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
const logged: string[] = []

const shell = (name: string, script: string, rest: Partial<Container> = {}): Container => ({
  name,
  image: busybox,
  imagePullPolicy: 'Never',
  command: ['sh', '-c', script],
  ...rest,
})

const createPod = (name: string, spec: PodSpec): Pod =>
  api.put(pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: { restartPolicy: 'Never', terminationGracePeriodSeconds: 5, enableServiceLinks: false, ...spec, nodeName },
  })
const peek = (name: string): Pod | undefined => api.peek(pods, `default/${name}`)
const untilPhase = (name: string, phase: string): Promise<Pod> =>
  until(`pod ${name} is ${phase}`, () => {
    const pod = peek(name)
    return pod?.status?.phase === phase ? pod : undefined
  })

const logsOf = async (pod: Pod, container: string): Promise<string> => {
  const chunks: Buffer[] = []
  const path = join(host.directory, 'log/pods', `default_${pod.metadata.name}_${pod.metadata.uid ?? ''}`, container, '0.log')
  for await (const chunk of readContainerLogs(path)) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function startKubelet(): Promise<typeof kubelet> {
  const informers = createInformerFactory(client)
  const stop = new AbortController()
  const ready = Promise.withResolvers<void>()
  const add = (fields: Readonly<Record<string, unknown>>, message: string): void =>
    void logged.push(`${message} ${fields['err'] instanceof Error ? fields['err'].message : ''}`)
  const logger = { debug() {}, info() {}, warn: add, error: add, child: () => logger }
  const service_ = createKubelet({
    nodeName,
    client,
    informers,
    cri: host.client,
    logger,
    rootDir: join(host.directory, 'kubelet'),
    podLogsDir: join(host.directory, 'log/pods'),
    containerLogsDir: join(host.directory, 'log/containers'),
    staticPodDir: join(host.directory, 'manifests'),
    nodeIps: ['192.0.2.10'],
    clusterDns: ['10.43.0.10'],
    cgroupRoot,
    evictionThresholds: [],
  })
  const ended = runAll([informers, service_], stop.signal, ready.resolve)
  await Promise.race([ready.promise, ended])
  return {
    async stop() {
      stop.abort()
      await ended
    },
  }
}

/** containerd started through a script that joins our network namespace first: bridges and routes of pods stay in there. */
async function wrapContainerd(): Promise<string> {
  const bin = join(host.directory, 'bin')
  await mkdir(bin, { recursive: true })
  const wrapper = join(bin, 'containerd')
  await writeFile(wrapper, `#!/bin/sh\nexec nsenter --net=/run/netns/${namespace} /usr/bin/containerd "$@"\n`)
  await chmod(wrapper, 0o755)
  return bin
}

beforeAll(async () => {
  host = await createHost()
  const id = host.directory.slice(-6)
  namespace = `kl-${id}`
  cgroupRoot = `/kubelet-test-${id}`
  await run('ip', ['netns', 'add', namespace])
  await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up'])
  const cni = join(host.directory, 'etc/cni/net.d')
  await mkdir(cni, { recursive: true })
  const ipam = { type: 'host-local', dataDir: join(host.directory, 'ipam'), ranges: [[{ subnet: '10.231.7.0/24' }]] }
  await writeFile(join(cni, '10-test.conflist'), JSON.stringify({ cniVersion: '0.4.0', name: 'test', plugins: [{ type: 'ptp', ipam }] }))
  await mkdir(join(host.directory, 'images'))
  await writeFile(join(host.directory, 'images/busybox.tar'), await busyboxArchive())
  const bin = await wrapContainerd()
  service = await host.start({ binaryDirectories: [bin, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'] })
  kubelet = await startKubelet()
})

afterAll(async () => {
  for (const { metadata } of api.all(pods))
    await client
      .resource(pods)
      .delete(metadata.name, { namespace: 'default', gracePeriodSeconds: 0 })
      .catch(() => {})
  await until('all containers are gone', async () => (await host.client.listPodSandbox()).items.length === 0).catch(() => {})
  await kubelet?.stop()
  await service?.stop()
  await host?.[Symbol.asyncDispose]()
  await run('ip', ['netns', 'del', namespace])
  for (const controller of await readdir('/sys/fs/cgroup')) {
    const group = `/sys/fs/cgroup/${controller}${cgroupRoot}`
    await run('sh', ['-c', `[ ! -d ${group} ] || find ${group} -depth -type d -exec rmdir {} +`])
  }
})

test('the node becomes ready when the runtime and its network are', async () => {
  const node = await until('ready', () => {
    const found = api.peek(nodes, nodeName)
    return found?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true ? found : undefined
  })
  expect(node.status?.nodeInfo?.containerRuntimeVersion).toMatch(/^containerd:\/\//)
})

test('a pod sees its volumes, environment, hosts file, user and limits', async () => {
  api.put(configmaps, { metadata: { name: 'cm', namespace: 'default' }, data: { 'a.txt': 'from the map' } })
  createPod('looker', {
    hostname: 'looker-host',
    securityContext: { runAsUser: 1000, fsGroup: 2000 },
    initContainers: [shell('prepare', 'echo prepared > /scratch/file', { volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }] })],
    containers: [
      shell(
        'app',
        'cat /scratch/file; cat /config/a.txt; echo; cat /sub; echo; id -u; id -G; hostname; grep looker-host /etc/hosts; echo $MEM $WHO; mount | grep " /ram "; stat -c "%a %g" /scratch /config/a.txt; cat /etc/resolv.conf; cat /proc/self/cgroup | grep memory; echo bye > /dev/termination-log; exit 7',
        {
          env: [
            { name: 'MEM', valueFrom: { resourceFieldRef: { resource: 'limits.memory' } } },
            { name: 'WHO', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          ],
          resources: { limits: { memory: '64Mi', cpu: '500m' } },
          volumeMounts: [
            { name: 'scratch', mountPath: '/scratch' },
            { name: 'ram', mountPath: '/ram' },
            { name: 'config', mountPath: '/config' },
            { name: 'config', mountPath: '/sub', subPath: 'a.txt' },
          ],
        },
      ),
    ],
    volumes: [
      { name: 'scratch', emptyDir: {} },
      { name: 'ram', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
      { name: 'config', configMap: { name: 'cm', defaultMode: 0o440 } },
    ],
  } satisfies PodSpec)
  const pod = await untilPhase('looker', 'Failed')
  const text = await logsOf(pod, 'app')
  expect(pod.status?.containerStatuses?.[0]?.state?.terminated, text).toMatchObject({ exitCode: 7, reason: 'Error', message: 'bye\n' })
  for (const expected of [
    'from the map',
    '1000',
    '2000',
    'looker-host',
    `67108864 ${pod.status?.podIP ?? '?'}`,
    'tmpfs',
    'nameserver 10.43.0.10',
    'options ndots:5',
    `pod${pod.metadata.uid ?? '?'}`,
  ])
    expect(text).toContain(expected)
  expect(text).toMatch(/^2777 2000$/m)
  const podDir = join(host.directory, 'kubelet/pods', pod.metadata.uid ?? '')
  await until('volumes are gone', async () => (await readdir(join(podDir, '..'))).length === 0 || undefined)
  expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(podDir)
})

test('a container that uses too much memory is OOMKilled', async () => {
  createPod('greedy', { containers: [shell('app', 'x=a; while true; do x=$x$x; done', { resources: { limits: { memory: '16Mi' } } })] })
  const pod = await untilPhase('greedy', 'Failed')
  expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 137, reason: 'OOMKilled' })
})

test('a restarted kubelet adopts what runs, and a deleted pod leaves nothing', async () => {
  createPod('server', {
    restartPolicy: 'Always',
    containers: [
      shell('app', 'trap "exit 0" TERM; touch /ready; while true; do sleep 0.1; done', {
        readinessProbe: { exec: { command: ['cat', '/ready'] }, periodSeconds: 1 },
      }),
    ],
  })
  const isReady = (): string | undefined => {
    const [status] = peek('server')?.status?.containerStatuses ?? []
    return status?.ready ? status.containerID : undefined
  }
  const before = await until('ready', isReady)
  await kubelet.stop()
  kubelet = await startKubelet()
  await until('looked at again', () => api.peek(nodes, nodeName) !== undefined)
  expect(await until('still ready', isReady)).toBe(before)
  expect(peek('server')?.status?.containerStatuses?.[0]?.restartCount).toBe(0)
  const uid = peek('server')?.metadata.uid ?? ''
  expect(await readdir(`/sys/fs/cgroup/memory${cgroupRoot}/kubepods/besteffort`)).toContain(`pod${uid}`)
  await client.resource(pods).delete('server', { namespace: 'default' })
  await until('deleted', () => peek('server') === undefined)
  await until(
    'no records',
    async () => (await host.client.listPodSandbox({ filter: { labelSelector: { 'io.kubernetes.pod.uid': uid } } })).items.length === 0,
  )
  expect(await readdir(`/sys/fs/cgroup/memory${cgroupRoot}/kubepods/besteffort`)).not.toContain(`pod${uid}`)
})

test('a static pod runs and has a mirror', async () => {
  await mkdir(join(host.directory, 'manifests'), { recursive: true })
  const manifest = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'static' },
    spec: { hostNetwork: true, terminationGracePeriodSeconds: 1, containers: [shell('app', 'sleep 1000')] },
  }
  await kubelet.stop()
  await writeFile(join(host.directory, 'manifests/static.yaml'), JSON.stringify(manifest))
  kubelet = await startKubelet()
  const mirror = await untilPhase(`static-${nodeName}`, 'Running')
  expect(mirror.metadata.annotations).toMatchObject({ 'kubernetes.io/config.source': 'file' })
  expect(mirror.status?.podIP).toBe('192.0.2.10')
  await run('rm', [join(host.directory, 'manifests/static.yaml')])
  await until('mirror is gone', () => peek(`static-${nodeName}`) === undefined)
})
