import { availableParallelism } from 'node:os'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configmaps, nodes, persistentvolumeclaims, persistentvolumes, pods, secrets } from '@k3s/api/types/core/v1'
import { runtimeclasses } from '@k3s/api/types/node/v1'
import { leases } from '@k3s/api/types/coordination/v1'
import { CriError } from '@k3s/cri-client'
import { describe, expect, test } from 'vitest'
import { parseThresholds } from '@k3s/kubelet'
import { nodeName, startHarness } from './harness.ts'

const cpus = availableParallelism()
const image = 'busybox:1'
const container = (name: string): { name: string; image: string } => ({ name, image })

describe('the node', () => {
  test('is registered with labels, capacity, conditions and a lease', async () => {
    await using harness = await startHarness({
      kubelet: { nodeLabels: { role: 'edge' }, nodeTaints: [{ key: 'a', effect: 'NoSchedule' }] },
    })
    await harness.start()
    const node = await harness.until('node is ready', () => {
      const found = harness.api.peek(nodes, nodeName)
      return found?.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True' ? found : undefined
    })
    expect(node.metadata.labels).toMatchObject({ role: 'edge', 'kubernetes.io/hostname': nodeName, 'kubernetes.io/os': 'linux' })
    expect(node.spec.taints).toEqual([{ key: 'a', effect: 'NoSchedule' }])
    expect(node.status?.capacity).toMatchObject({ pods: '110' })
    expect(node.status?.addresses).toEqual([
      { type: 'InternalIP', address: '192.0.2.10' },
      { type: 'Hostname', address: nodeName },
    ])
    const lease = await harness.until('lease', () => harness.api.peek(leases, `kube-node-lease/${nodeName}`))
    expect(lease.spec).toMatchObject({ holderIdentity: nodeName, leaseDurationSeconds: 40 })
  })
})

describe('a pod', () => {
  test('runs with a sandbox, a network address and ready containers', async () => {
    await using harness = await startHarness()
    await harness.start()
    harness.createPod('web', { containers: [container('app')] })
    const pod = await harness.until('pod is ready', () => {
      const found = harness.pod('web')
      return found?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true ? found : undefined
    })
    expect(pod.status).toMatchObject({ phase: 'Running', qosClass: 'BestEffort', hostIP: '192.0.2.10', hostIPs: [{ ip: '192.0.2.10' }] })
    expect(pod.status?.podIP).toMatch(/^\d/)
    const [status] = pod.status?.containerStatuses ?? []
    expect(status).toMatchObject({ name: 'app', ready: true, started: true, restartCount: 0 })
    expect(status?.containerID).toMatch(/:\/\//)
    const [sandbox] = harness.cri.sandboxes.values()
    expect(sandbox?.config.labels).toMatchObject({ 'io.kubernetes.pod.name': 'web' })
    expect(sandbox?.config.dnsConfig).toMatchObject({ servers: ['10.43.0.10'], options: ['ndots:5'] })
    expect(sandbox?.config.linux?.cgroupParent).toBe(`/kubepods/besteffort/pod${pod.metadata.uid ?? ''}`)
    await harness.until('events', () =>
      ['Pulled', 'Created', 'Started'].every((reason) => harness.events('web').some((event) => event.reason === reason)),
    )
  })

  test('runs its init containers one after the other before the ordinary ones', async () => {
    await using harness = await startHarness({
      cri: { script: ({ config }) => (config.metadata?.name.startsWith('init') === true ? { exitAfterMs: 20 } : {}) },
    })
    await harness.start()
    harness.createPod('steps', { initContainers: [container('init-1'), container('init-2')], containers: [container('app')] })
    await harness.untilPhase('steps', 'Running')
    const created = [...harness.cri.containers.values()].map(({ config }) => config.metadata?.name)
    expect(created).toEqual(['init-1', 'init-2', 'app'])
    const pod = await harness.until('initialized', () => {
      const found = harness.pod('steps')
      return found?.status?.initContainerStatuses?.every(({ ready }) => ready) === true ? found : undefined
    })
    expect(pod.status?.initContainerStatuses?.map(({ state }) => state?.terminated?.reason)).toEqual(['Completed', 'Completed'])
  })

  test('with restartPolicy Never ends as Succeeded or Failed by its exit codes', async () => {
    await using harness = await startHarness({
      cri: { script: ({ config }) => ({ exitAfterMs: 20, exitCode: config.metadata?.name === 'bad' ? 3 : 0 }) },
    })
    await harness.start()
    harness.createPod('good', { restartPolicy: 'Never', containers: [container('app')] })
    harness.createPod('broken', { restartPolicy: 'Never', containers: [container('app'), container('bad')] })
    const good = await harness.untilPhase('good', 'Succeeded')
    expect(good.status?.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'False', reason: 'PodCompleted' })
    const broken = await harness.untilPhase('broken', 'Failed')
    expect(broken.status?.containerStatuses?.map(({ state }) => state?.terminated?.exitCode)).toEqual([0, 3])
  })

  test('that crashes is restarted once and then waits in CrashLoopBackOff', async () => {
    await using harness = await startHarness({ cri: { script: () => ({ exitAfterMs: 5, exitCode: 1 }) } })
    await harness.start()
    harness.createPod('crash', { containers: [container('app')] })
    const status = await harness.until('back-off', () => {
      const [found] = harness.pod('crash')?.status?.containerStatuses ?? []
      return found?.state?.waiting?.reason === 'CrashLoopBackOff' ? found : undefined
    })
    expect(status.state?.waiting?.message).toMatch(/^back-off 10s restarting failed container=app pod=crash_default\(/)
    expect(status.lastState?.terminated).toMatchObject({ exitCode: 1, reason: 'Error' })
    expect(status.restartCount).toBe(1)
  })

  test('whose image cannot be pulled says ErrImagePull and then ImagePullBackOff', async () => {
    await using harness = await startHarness({
      cri: {
        pull: () => {
          throw new CriError('NOT_FOUND', 'no such image')
        },
      },
    })
    await harness.start()
    harness.createPod('pull', { containers: [{ name: 'app', image: 'absent:1' }] })
    const reasonOf = (): string | undefined => harness.pod('pull')?.status?.containerStatuses?.[0]?.state?.waiting?.reason
    await harness.until('ErrImagePull', () => reasonOf() === 'ErrImagePull')
    await harness.until('ImagePullBackOff', () => reasonOf() === 'ImagePullBackOff')
    await harness.until('event', () =>
      harness.events('pull').some(({ message }) => message?.includes('Failed to pull image "absent:1"') === true),
    )
    expect(harness.pod('pull')?.status?.phase).toBe('Pending')
  })

  test('gets its environment from a config map, and waits with CreateContainerConfigError while that is absent', async () => {
    await using harness = await startHarness()
    await harness.start()
    harness.createPod('env', {
      containers: [
        {
          ...container('app'),
          env: [
            { name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'a' } } },
            { name: 'B', value: '$(A)-$(POD)' },
            { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          ],
          args: ['$(A)'],
        },
      ],
    })
    await harness.until('config error', () => {
      const waiting = harness.pod('env')?.status?.containerStatuses?.[0]?.state?.waiting
      return waiting?.reason === 'CreateContainerConfigError' && waiting.message === 'configmap "cm" not found'
    })
    harness.api.put(configmaps, { metadata: { name: 'cm', namespace: 'default' }, data: { a: 'one' } })
    await harness.untilPhase('env', 'Running')
    const [created] = harness.cri.containers.values()
    const env = Object.fromEntries((created?.config.envs ?? []).map(({ key, value }) => [key, Buffer.from(value).toString()]))
    expect(env).toMatchObject({ A: 'one', B: 'one-$(POD)', POD: 'env' })
    expect(created?.config.args).toEqual(['one'])
  })

  test('sees changes of its config map and secret volumes while it runs', async () => {
    await using harness = await startHarness()
    await harness.start()
    harness.api.put(configmaps, { metadata: { name: 'cm', namespace: 'default' }, data: { key: 'old' } })
    harness.api.put(secrets, { metadata: { name: 's', namespace: 'default' }, data: { password: Buffer.from('x').toString('base64') } })
    harness.createPod('vol', {
      containers: [
        {
          ...container('app'),
          volumeMounts: [
            { name: 'config', mountPath: '/config' },
            { name: 'all', mountPath: '/all' },
          ],
        },
      ],
      volumes: [
        { name: 'config', configMap: { name: 'cm' } },
        {
          name: 'all',
          projected: {
            sources: [
              { secret: { name: 's', items: [{ key: 'password', path: 'deep/pw', mode: 0o400 }] } },
              { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
            ],
          },
        },
      ],
    })
    const pod = await harness.untilPhase('vol', 'Running')
    const volumes = join(harness.dir, 'kubelet/pods', pod.metadata.uid ?? '', 'volumes')
    const file = join(volumes, 'kubernetes.io~configmap/config/key')
    expect(await readFile(file, 'utf8')).toBe('old')
    expect(await readFile(join(volumes, 'kubernetes.io~projected/all/deep/pw'), 'utf8')).toBe('x')
    expect(await readFile(join(volumes, 'kubernetes.io~projected/all/name'), 'utf8')).toBe('vol')
    const known = harness.api.peek(configmaps, 'default/cm')
    harness.api.put(configmaps, { ...known, metadata: { ...known?.metadata, name: 'cm', namespace: 'default' }, data: { key: 'new' } })
    await harness.until('new content', async () => (await readFile(file, 'utf8')) === 'new')
    const [created] = harness.cri.containers.values()
    expect(created?.config.mounts.map(({ containerPath }) => containerPath)).toEqual([
      '/config',
      '/all',
      '/etc/hosts',
      '/dev/termination-log',
    ])
  })

  test('is ended with its grace period, told of and removed when it is deleted', async () => {
    await using harness = await startHarness()
    await harness.start()
    const { metadata } = harness.createPod('gone', { containers: [container('app')] })
    await harness.untilPhase('gone', 'Running')
    await harness.deletePod('gone', 5)
    await harness.until('pod is deleted', () => harness.pod('gone') === undefined)
    const stop = harness.cri.calls.find(({ method }) => method === 'StopContainer')
    expect(stop?.request).toMatchObject({ timeout: 5 })
    await harness.until('records are removed', () => harness.cri.sandboxes.size === 0 && harness.cri.containers.size === 0)
    expect(await readdir(join(harness.dir, 'kubelet/pods'))).toEqual([])
    expect([...harness.cgroups.groups]).toEqual([])
    expect(harness.events('gone').some(({ reason }) => reason === 'Killing')).toBe(true)
    expect(metadata.uid).toBeDefined()
  })

  test('runs its preStop hook before the stop signal', async () => {
    const order: string[] = []
    await using harness = await startHarness({
      cri: {
        script: () => ({
          exec: (command) => {
            order.push(command.join(' '))
            return { exitCode: 0 }
          },
        }),
      },
    })
    await harness.start()
    harness.createPod('hook', {
      containers: [
        { ...container('app'), lifecycle: { postStart: { exec: { command: ['hello'] } }, preStop: { exec: { command: ['bye'] } } } },
      ],
    })
    await harness.untilPhase('hook', 'Running')
    await harness.until('postStart', () => order.includes('hello'))
    await harness.deletePod('hook')
    await harness.until('pod is deleted', () => harness.pod('hook') === undefined)
    expect(order).toEqual(['hello', 'bye'])
    const methods = harness.cri.calls.map(({ method }) => method)
    expect(methods.lastIndexOf('ExecSync')).toBeLessThan(methods.indexOf('StopContainer'))
  })

  test('that does not fit the node fails with the reason', async () => {
    await using harness = await startHarness({ kubelet: { maxPods: 1 } })
    await harness.start()
    harness.createPod('huge', { containers: [{ ...container('app'), resources: { requests: { cpu: '1000' } } }] })
    const huge = await harness.untilPhase('huge', 'Failed')
    expect(huge.status).toMatchObject({
      reason: 'OutOfcpu',
      message: "Node didn't have enough resource: cpu, requested: 1000000, used: 0, capacity: " + String(cpus * 1000),
    })
    expect(huge.status?.containerStatuses).toBeUndefined()
    harness.createPod('picky', { nodeSelector: { zone: 'moon' }, containers: [container('app')] })
    expect((await harness.untilPhase('picky', 'Failed')).status?.reason).toBe('NodeAffinity')
    expect(harness.cri.containers.size).toBe(0)
    await harness.deletePod('huge', 0)
    await harness.until('deleted', () => harness.pod('huge') === undefined)
  })

  test('is ended by its active deadline', async () => {
    await using harness = await startHarness()
    await harness.start()
    harness.createPod('late', { activeDeadlineSeconds: 1, containers: [container('app')] })
    const pod = await harness.untilPhase('late', 'Failed')
    expect(pod.status).toMatchObject({
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    })
    await harness.until('container ends', () => [...harness.cri.containers.values()].every(({ state }) => state === 'CONTAINER_EXITED'))
  })
})

describe('probes', () => {
  test('keep a pod unready until readiness succeeds, and restart it when liveness fails', async () => {
    let isReady = false
    let isAlive = true
    await using harness = await startHarness({
      cri: {
        script: () => ({
          exec: ([command]) => ({ exitCode: (command === 'ready' ? isReady : isAlive) ? 0 : 1 }),
        }),
      },
    })
    await harness.start()
    const exec = (command: string): object => ({
      exec: { command: [command] },
      periodSeconds: 1,
      failureThreshold: 1,
      terminationGracePeriodSeconds: 1,
    })
    harness.createPod('probed', {
      containers: [
        { ...container('app'), readinessProbe: { exec: { command: ['ready'] }, periodSeconds: 1 }, livenessProbe: exec('alive') },
      ],
    })
    await harness.untilPhase('probed', 'Running')
    expect(harness.pod('probed')?.status?.containerStatuses?.[0]?.ready).toBe(false)
    isReady = true
    await harness.until('ready', () => harness.pod('probed')?.status?.containerStatuses?.[0]?.ready)
    isAlive = false
    await harness.until('restarted', () => (harness.pod('probed')?.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 1)
    await harness.until('event', () =>
      harness
        .events('probed')
        .some(({ reason, message }) => reason === 'Unhealthy' && message?.startsWith('Liveness probe failed') === true),
    )
  })
})

describe('startup probes', () => {
  test('hold liveness back, and restart a container that does not come up', async () => {
    const asked: string[] = []
    let isUp = false
    await using harness = await startHarness({
      cri: {
        script: () => ({
          exec: ([command = '']) => {
            asked.push(command)
            return { exitCode: command === 'up' && !isUp ? 1 : 0 }
          },
        }),
      },
    })
    await harness.start()
    const probe = (command: string): object => ({ exec: { command: [command] }, periodSeconds: 1, failureThreshold: 2 })
    harness.createPod('slow', {
      terminationGracePeriodSeconds: 1,
      containers: [{ ...container('app'), startupProbe: probe('up'), livenessProbe: probe('alive') }],
    })
    const status = (): { started?: boolean | undefined; restartCount: number } | undefined =>
      harness.pod('slow')?.status?.containerStatuses?.[0]
    await harness.until('restarted', () => status()?.restartCount === 1)
    expect(asked).not.toContain('alive')
    expect(status()?.started).toBe(false)
    isUp = true
    await harness.until('started', () => status()?.started)
    await harness.until('liveness', () => asked.includes('alive'))
  })
})

describe('a restart of the kubelet', () => {
  test('adopts running containers, ends pods that were deleted meanwhile and finishes those that ended', async () => {
    await using harness = await startHarness()
    await harness.start()
    for (const name of ['stays', 'deleted', 'ended'])
      harness.createPod(name, { restartPolicy: name === 'ended' ? 'Never' : 'Always', containers: [container('app')] })
    for (const name of ['stays', 'deleted', 'ended']) await harness.untilPhase(name, 'Running')
    const byPod = new Map([...harness.cri.containers.values()].map((found) => [found.config.labels['io.kubernetes.pod.name'], found.id]))
    await harness.stop()
    expect(harness.cri.containers.size).toBe(3)
    harness.api.remove(pods, 'default/deleted')
    harness.cri.exit(byPod.get('ended') ?? '', 0)
    await harness.start()
    await harness.untilPhase('ended', 'Succeeded')
    await harness.until('orphan is removed', () => !harness.cri.containers.has(byPod.get('deleted') ?? ''))
    const left = [...harness.cri.containers.values()].map(({ config, id }) => [config.labels['io.kubernetes.pod.name'], id])
    expect(left.find(([name]) => name === 'stays')).toEqual(['stays', byPod.get('stays')])
    expect(harness.pod('stays')?.status?.containerStatuses?.[0]).toMatchObject({ restartCount: 0, ready: true })
  })

  test('makes a new sandbox when the old one died', async () => {
    await using harness = await startHarness()
    await harness.start()
    harness.createPod('sandboxed', { containers: [container('app')] })
    await harness.untilPhase('sandboxed', 'Running')
    const [first] = harness.cri.sandboxes.keys()
    await harness.cri.killSandbox(first ?? '')
    await harness.until('restarted', () => {
      const [status] = harness.pod('sandboxed')?.status?.containerStatuses ?? []
      return status?.restartCount === 1 && status.ready
    })
    expect([...harness.cri.sandboxes.values()].filter(({ state }) => state === 'SANDBOX_READY')).toHaveLength(1)
  })
})

describe('further pods', () => {
  test('end their sidecars after the containers that they serve', async () => {
    await using harness = await startHarness()
    await harness.start()
    const sidecar = (name: string): object => ({ ...container(name), restartPolicy: 'Always' })
    harness.createPod('sides', { initContainers: [sidecar('s1'), sidecar('s2')], containers: [container('app')] } as Parameters<
      typeof harness.createPod
    >[1])
    await harness.until(
      'all run',
      () => [...harness.cri.containers.values()].filter(({ state }) => state === 'CONTAINER_RUNNING').length === 3,
    )
    await harness.untilPhase('sides', 'Running')
    const names = new Map([...harness.cri.containers.values()].map(({ id, config }) => [id, config.metadata?.name]))
    await harness.deletePod('sides')
    await harness.until('deleted', () => harness.pod('sides') === undefined)
    const stopped = harness.cri.calls
      .filter(({ method }) => method === 'StopContainer')
      .map(({ request }) => names.get((request as { containerId: string }).containerId))
    expect(stopped).toEqual(['app', 's2', 's1'])
  })

  test('get claims on host paths, and an event for drivers that are not there', async () => {
    await using harness = await startHarness()
    await harness.start()
    for (const [name, source] of [
      ['disk', { hostPath: { path: harness.dir } }],
      ['cloud', { csi: { driver: 'x.csi', volumeHandle: 'h' } }],
    ] as const) {
      harness.api.put(persistentvolumes, { metadata: { name: `pv-${name}` }, spec: { accessModes: ['ReadWriteOnce'], ...source } })
      harness.api.put(persistentvolumeclaims, {
        metadata: { name, namespace: 'default' },
        spec: { volumeName: `pv-${name}` },
        status: { phase: 'Bound' },
      })
      harness.createPod(name, {
        containers: [{ ...container('app'), volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
        volumes: [{ name: 'v', persistentVolumeClaim: { claimName: name } }],
      })
    }
    await harness.untilPhase('disk', 'Running')
    const [created] = harness.cri.containers.values()
    expect(created?.config.mounts[0]).toMatchObject({ containerPath: '/v', hostPath: harness.dir, readonly: false })
    const event = await harness.until('event', () => harness.events('cloud').find(({ reason }) => reason === 'FailedMount'))
    expect(event.message).toContain('driver name x.csi not found in the list of registered CSI drivers')
    expect(harness.pod('cloud')?.status?.containerStatuses?.[0]?.state?.waiting?.reason).toBe('ContainerCreating')
  })

  test('run with the handler of their runtime class and the credentials of their pull secrets', async () => {
    await using harness = await startHarness()
    await harness.start()
    harness.api.put(runtimeclasses, { metadata: { name: 'special' }, handler: 'special-handler' })
    const auths = Buffer.from(JSON.stringify({ auths: { 'r.example': { username: 'u', password: 'p' } } })).toString('base64')
    harness.api.put(secrets, { metadata: { name: 'pull', namespace: 'default' }, data: { '.dockerconfigjson': auths } })
    harness.createPod('special', {
      runtimeClassName: 'special',
      imagePullSecrets: [{ name: 'pull' }, { name: 'absent' }],
      containers: [{ name: 'app', image: 'r.example/app:1' }],
    })
    await harness.untilPhase('special', 'Running')
    expect([...harness.cri.sandboxes.values()][0]?.runtimeHandler).toBe('special-handler')
    expect(harness.cri.calls.find(({ method }) => method === 'PullImage')?.request).toMatchObject({
      auth: { username: 'u', password: 'p' },
    })
    await harness.until('event', () => harness.events('special').some(({ reason }) => reason === 'FailedToRetrieveImagePullSecret'))
  })

  test('are evicted when the node runs out of memory', async () => {
    let available = 1000
    await using harness = await startHarness({
      kubelet: {
        evictionThresholds: parseThresholds('memory.available<100'),
        evictionProbe: {
          observe: () => Promise.resolve(new Map([['memory.available', { available, capacity: 1000 }]])),
          usage: () => Promise.resolve(new Map()),
        },
      },
    })
    await harness.start()
    harness.createPod('victim', { containers: [container('app')] })
    await harness.untilPhase('victim', 'Running')
    await harness.stop()
    available = 1
    await harness.start()
    const pod = await harness.untilPhase('victim', 'Failed')
    expect(pod.status?.reason).toBe('Evicted')
    expect(pod.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')).toMatchObject({
      status: 'True',
      reason: 'TerminationByKubelet',
    })
    await harness.until('pressure is told', () =>
      harness.api.peek(nodes, nodeName)?.status?.conditions?.some(({ type, status }) => type === 'MemoryPressure' && status === 'True'),
    )
  })

  test('come from files too, with a mirror that follows the file', async () => {
    const files = join('/tmp', `static-${process.pid}`)
    await mkdir(files)
    try {
      await using harness = await startHarness({ kubelet: { staticPodDir: files } })
      const manifest = (image_: string): string =>
        JSON.stringify({
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'static' },
          spec: { containers: [{ name: 'app', image: image_ }] },
        })
      await writeFile(join(files, 'pod.yaml'), manifest('busybox:1'))
      await harness.start()
      const mirror = await harness.untilPhase(`static-${nodeName}`, 'Running')
      await writeFile(join(files, 'pod.yaml'), manifest('other:2'))
      await harness.until('a new mirror runs', () => {
        const found = harness.pod(`static-${nodeName}`)
        return (
          found?.metadata.uid !== mirror.metadata.uid && found?.spec.containers[0]?.image === 'other:2' && found.status?.phase === 'Running'
        )
      })
      await rm(join(files, 'pod.yaml'))
      await harness.until('the mirror is gone', () => harness.pod(`static-${nodeName}`) === undefined)
      await harness.until('the sandbox is gone', () => harness.cri.sandboxes.size === 0)
    } finally {
      await rm(files, { recursive: true })
    }
  })

  test('wait while the runtime is away and go on when it is back', async () => {
    await using harness = await startHarness()
    await harness.start()
    harness.createPod('before', { containers: [container('app')] })
    await harness.untilPhase('before', 'Running')
    await harness.cri.stop()
    harness.createPod('during', { containers: [container('app')] })
    await harness.until('the node is not ready', () =>
      harness.api.peek(nodes, nodeName)?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'False'),
    )
    await harness.cri.start()
    await harness.untilPhase('during', 'Running')
    expect(harness.pod('before')?.status?.containerStatuses?.[0]?.restartCount).toBe(0)
  })
})
