import type { Pod, PodSpec } from '@k3s/api/types/core/v1'
import { FakeClock, noLogger } from '@k3s/lifecycle'
import { describe, expect, test } from 'vitest'
import type { SyncResult } from '../sync/pod-syncer.ts'
import { admit, type AdmissionInput } from './admission.ts'
import { mirrorOf, mirrors } from './mirror-pods.ts'
import { PodWorkers, type PodWorkersOptions } from './pod-workers.ts'
import { podDomain, podHostname } from './pod-facts.ts'
import { staticPod } from './static-pods.ts'

const podOf = (name: string, spec: Partial<PodSpec> = {}, metadata: Partial<Pod['metadata']> = {}): Pod => ({
  metadata: { name, namespace: 'ns', uid: `uid-${name}`, ...metadata },
  spec: { containers: [{ name: 'c' }], ...spec },
})
const asks = (cpu: string, memory = '0'): Partial<PodSpec> => ({ containers: [{ name: 'c', resources: { requests: { cpu, memory } } }] })

describe('admit()', () => {
  const base: Omit<AdmissionInput, 'pod'> = {
    others: [],
    node: { metadata: { name: 'n', labels: { zone: 'a', cpus: '8' } }, spec: {} },
    allocatable: { cpu: '2', memory: '1Gi', pods: '2' },
    allowedUnsafeSysctls: [],
    pressures: new Set(),
  }
  const affinity = (operator: string, values?: string[]): Partial<PodSpec> => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'cpus', operator, values }] }] },
      },
    },
  })
  const port: Partial<PodSpec> = { containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 80 }] }] }
  test.each<[string, Partial<PodSpec>, Partial<AdmissionInput>, string | undefined]>([
    ['fits', asks('2', '1Gi'), {}, undefined],
    ['too much CPU', asks('2001m'), {}, 'OutOfcpu'],
    ['too much memory beside others', asks('0', '600Mi'), { others: [podOf('o', asks('0', '500Mi'))] }, 'OutOfmemory'],
    ['too many pods', {}, { others: [podOf('a'), podOf('b')] }, 'OutOfpods'],
    ['selector', { nodeSelector: { zone: 'b' } }, {}, 'NodeAffinity'],
    ['affinity In', affinity('In', ['8']), {}, undefined],
    ['affinity Gt', affinity('Gt', ['9']), {}, 'NodeAffinity'],
    ['affinity DoesNotExist', affinity('DoesNotExist'), {}, 'NodeAffinity'],
    ['taken host port', port, { others: [podOf('o', port)] }, 'NodePorts'],
    ['NoExecute taint', {}, { node: { ...base.node, spec: { taints: [{ key: 'k', effect: 'NoExecute' }] } } }, 'TaintToleration'],
    [
      'tolerated taint',
      { tolerations: [{ operator: 'Exists' }] },
      { node: { ...base.node, spec: { taints: [{ key: 'k', effect: 'NoExecute' }] } } },
      undefined,
    ],
    ['unsafe sysctl', { securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }, {}, 'SysctlForbidden'],
    ['disk pressure', {}, { pressures: new Set(['DiskPressure']) }, 'Evicted'],
    ['memory pressure keeps only best effort out', asks('1'), { pressures: new Set(['MemoryPressure']) }, undefined],
    ['critical pods come in under pressure', { priority: 2_000_001_000 }, { pressures: new Set(['DiskPressure']) }, undefined],
  ])('%s', (_title, spec, input, reason) => {
    expect(admit({ ...base, ...input, pod: podOf('p', spec) })?.reason).toBe(reason)
  })
})

test('pod names become host names and domains', () => {
  expect(podHostname(podOf('x'.repeat(62) + '.y'))).toBe('x'.repeat(62))
  expect(podDomain(podOf('p', { subdomain: 's' }), 'd')).toBe('s.ns.svc.d')
})

describe('static pods', () => {
  const manifest =
    'apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {a: b}}\nspec:\n  hostNetwork: true\n  containers:\n  - {name: c, image: i, ports: [{containerPort: 80}]}\n'
  const pod = staticPod(manifest, '/m/web.yaml', 'node', 0)
  test('are named after the node and marked', () => {
    expect(pod.metadata).toMatchObject({ name: 'web-node', namespace: 'default', annotations: { 'kubernetes.io/config.source': 'file' } })
    expect(pod.metadata.uid).toBe(pod.metadata.annotations?.['kubernetes.io/config.hash'])
    expect(pod.spec).toMatchObject({
      nodeName: 'node',
      restartPolicy: 'Always',
      tolerations: [{ operator: 'Exists', effect: 'NoExecute' }],
      containers: [{ ports: [{ hostPort: 80, protocol: 'TCP' }] }],
    })
    expect(staticPod(manifest, '/m/web.yaml', 'node', 9).metadata.uid).toBe(pod.metadata.uid)
    expect(staticPod(manifest.replace('image: i', 'image: j'), '/m/web.yaml', 'node', 0).metadata.uid).not.toBe(pod.metadata.uid)
  })
  test('have mirrors that belong to the node', () => {
    const mirror = mirrorOf(pod, 'node-uid')
    expect(mirrors(mirror, pod)).toBe(true)
    expect(mirror.metadata).not.toHaveProperty('uid')
    expect(mirror.metadata.ownerReferences).toMatchObject([{ kind: 'Node', uid: 'node-uid', controller: true }])
  })
  test.each(['kind: Pod', 'a: [', 'apiVersion: v1\nkind: Pod\nmetadata: {}\nspec: {containers: []}'])('%j is refused', (text) => {
    expect(() => staticPod(text, 'f', 'node', 0)).toThrow(/./)
  })
})

describe('PodWorkers', () => {
  interface Step {
    readonly name: string
    readonly signal: AbortSignal
    readonly finish: (result?: SyncResult) => void
    readonly fail: (error: Error) => void
  }
  const again: SyncResult = { isTerminal: false, retryAfterMs: undefined }
  /** Workers whose steps end when the test says so. */
  const setUp = (): { steps: Step[]; finished: string[]; clock: FakeClock; workers: PodWorkers; next: (name: string) => Promise<Step> } => {
    const steps: Step[] = []
    const finished: string[] = []
    const clock = new FakeClock()
    const step = (name: string, signal: AbortSignal): Promise<SyncResult> =>
      new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
        steps.push({ name, signal, finish: (result = again) => resolve(result), fail: reject })
      })
    const syncer: PodWorkersOptions['syncer'] = {
      sync: (_pod, signal) => step('sync', signal),
      terminate: async (_pod, { graceSeconds }, signal) => void (await step(`terminate ${graceSeconds ?? ''}`.trim(), signal)),
      finish: async (_pod, signal) => void (await step('finish', signal)),
      hasHandled: () => false,
    }
    const workers = new PodWorkers({ syncer, clock, logger: noLogger, onFinished: (pod) => finished.push(pod.metadata.name) })
    const next = async (name: string): Promise<Step> => {
      for (let turn = 0; turn < 50; turn++) {
        const found = steps.find((candidate) => candidate.name === name && !candidate.signal.aborted)
        if (found !== undefined) {
          steps.splice(steps.indexOf(found), 1)
          return found
        }
        await new Promise((resolve) => setImmediate(resolve))
      }
      throw new Error(`No step ${name}`)
    }
    return { steps, finished, clock, workers, next }
  }

  test('sync a pod again when it is woken, one step at a time', async () => {
    const { workers, next, steps } = setUp()
    workers.update(podOf('p'))
    const first = await next('sync')
    workers.wake('uid-p')
    expect(steps).toHaveLength(0)
    first.finish(again)
    const second = await next('sync')
    second.finish(again)
    // Its own status comes back: no reason to look again.
    workers.update({ ...podOf('p'), status: { phase: 'Running' } })
    await new Promise((resolve) => setImmediate(resolve))
    expect(steps).toHaveLength(0)
    workers.update(podOf('p', {}, { labels: { a: 'b' } }))
    await next('sync')
    await workers.close()
  })
  test('give up a sync when the pod has to end, and start again with a shorter grace period', async () => {
    const { workers, next, finished } = setUp()
    workers.update(podOf('p'))
    const sync = await next('sync')
    const deleted = (seconds: number): Pod => podOf('p', {}, { deletionTimestamp: 'now', deletionGracePeriodSeconds: seconds })
    workers.update(deleted(30))
    expect(sync.signal.aborted).toBe(true)
    const long = await next('terminate')
    workers.update(deleted(5))
    expect(long.signal.aborted).toBe(true)
    ;(await next('terminate')).finish()
    ;(await next('finish')).finish()
    await new Promise((resolve) => setImmediate(resolve))
    expect(finished).toEqual(['p'])
    expect(workers.phaseOf('uid-p')).toBe('finished')
    workers.remove('uid-p')
    expect(workers.phaseOf('uid-p')).toBeUndefined()
  })
  test('end a pod whose containers have ended, and one that is evicted', async () => {
    const { workers, next } = setUp()
    workers.update(podOf('p'))
    ;(await next('sync')).finish({ isTerminal: true, retryAfterMs: undefined })
    expect((await next('terminate')).signal.aborted).toBe(false)
    workers.update(podOf('q'))
    await next('sync')
    workers.terminate('uid-q', { graceSeconds: 1 })
    await next('terminate 1')
    await workers.close()
  })
  test('try a failed step again', async () => {
    const { workers, next, clock } = setUp()
    workers.update(podOf('p'))
    ;(await next('sync')).fail(new Error('x'))
    await new Promise((resolve) => setImmediate(resolve))
    await clock.advance(2000)
    expect((await next('sync')).signal.aborted).toBe(false)
    await workers.close()
  })
  test('let a static pod wait for the one before it', async () => {
    const { workers, next, clock, steps } = setUp()
    const marks = { annotations: { 'kubernetes.io/config.source': 'file' } }
    workers.update(podOf('p', {}, { uid: 'old', ...marks }))
    await next('sync')
    workers.update(podOf('p', {}, { uid: 'new', ...marks }))
    workers.remove('old')
    const terminate = await next('terminate')
    expect(steps).toHaveLength(0)
    terminate.finish()
    ;(await next('finish')).finish()
    await new Promise((resolve) => setImmediate(resolve))
    await clock.advance(1000)
    await next('sync')
    await workers.close()
  })
})
