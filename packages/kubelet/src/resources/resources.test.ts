import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Container, Pod } from '@k3s/api/types/core/v1'
import { describe, expect, test } from 'vitest'
import { qosClassOf } from '../pods/pod-facts.ts'
import { podAmounts } from './amounts.ts'
import { CgroupV2, weightOfShares } from './cgroup-v2.ts'
import { detectCgroups } from './cgroups.ts'
import { oomScoreAdj, podLimits, quotaOf, sharesOf } from './linux-resources.ts'

const podOf = (containers: readonly Partial<Container>[], init: readonly Partial<Container>[] = []): Pod => ({
  metadata: { name: 'p' },
  spec: {
    containers: containers.map((container, index) => ({ name: `c${index}`, ...container })),
    initContainers: init.map((container, index) => ({ name: `i${index}`, ...container })),
  },
})
const asks = (requests: Record<string, string>, limits?: Record<string, string>): Partial<Container> => ({
  resources: { requests, ...(limits === undefined ? {} : { limits }) },
})

test.each([
  ['BestEffort', [{}]],
  ['BestEffort', [asks({ cpu: '0' })]],
  ['Burstable', [asks({ cpu: '1' })]],
  ['Burstable', [{ resources: { limits: { cpu: '1', memory: '1Gi' } } }, {}]],
  ['Guaranteed', [{ resources: { limits: { cpu: '1', memory: '1Gi' } } }]],
  ['Burstable', [asks({ cpu: '500m' }, { cpu: '1', memory: '1Gi' })]],
])('qosClassOf() is %s for %j', (expected, containers) => {
  expect(qosClassOf(podOf(containers))).toBe(expected)
})

test('podAmounts() takes the larger of init steps with their sidecars and of what runs together', () => {
  const sidecar = { ...asks({ cpu: '100m' }), restartPolicy: 'Always' }
  expect(podAmounts(podOf([asks({ cpu: '200m' }), asks({ cpu: '50m' })], [sidecar, asks({ cpu: '1' })])).requests.cpuMilli).toBe(1100)
  expect(podAmounts(podOf([asks({ cpu: '2' })], [sidecar])).requests.cpuMilli).toBe(2100)
})

test.each([
  [sharesOf(0), 2],
  [sharesOf(1000), 1024],
  [sharesOf(1_000_000), 262_144],
  [quotaOf(0), 0],
  [quotaOf(1), 1000],
  [quotaOf(1500), 150_000],
  [weightOfShares(2), 1],
  [weightOfShares(1024), 39],
  [weightOfShares(262_144), 10_000],
])('kernel value %i is %i', (actual, expected) => {
  expect(actual).toBe(expected)
})

test('podLimits() sets no limit when one container has none', () => {
  expect(podLimits(podOf([asks({}, { memory: '1Mi', cpu: '1' }), {}]))).toMatchObject({ memoryLimit: 0, cpuQuota: 0 })
  expect(podLimits(podOf([asks({}, { memory: '1Mi', cpu: '1' })]))).toMatchObject({
    memoryLimit: 1_048_576,
    cpuQuota: 100_000,
    cpuShares: 1024,
  })
})

test.each([
  [podOf([{}]), 1000],
  [podOf([{ resources: { limits: { cpu: '1', memory: '1Gi' } } }]), -997],
  [podOf([asks({ memory: '512Mi' })]), 500],
  [podOf([asks({ memory: '1Gi' })]), 3],
  [podOf([asks({ cpu: '1' })]), 999],
])('oomScoreAdj() %#', (pod, expected) => {
  const [container] = pod.spec.containers
  expect(oomScoreAdj(pod, container ?? { name: '' }, 2 ** 30)).toBe(expected)
})

describe('CgroupV2', () => {
  // A directory of plain files: the kernel's own part (files that appear by themselves) is put there by hand.
  test('hands controllers down and writes limits', async () => {
    const mountPoint = await mkdtemp(join(tmpdir(), 'cg-'))
    try {
      const cgroups = new CgroupV2({ root: '/', mountPoint, podPidsLimit: 10 })
      const pod = cgroups.podCgroup('Burstable', 'u')
      for (const dir of ['', 'kubepods', 'kubepods/burstable', 'kubepods/besteffort', 'kubepods/burstable/podu']) {
        await mkdir(join(mountPoint, dir), { recursive: true })
        await writeFile(join(mountPoint, dir, 'cgroup.controllers'), 'cpu memory pids\n')
        await writeFile(join(mountPoint, dir, 'cgroup.subtree_control'), '')
      }
      expect((await detectCgroups({ root: '/', mountPoint })).version).toBe(2)
      await cgroups.createBase()
      await cgroups.createPod(pod, { cpuShares: 1024, cpuPeriod: 100_000, cpuQuota: 0, memoryLimit: 4096 })
      const read = (file: string): Promise<string> => readFile(join(mountPoint, pod, file), 'utf8')
      expect([await read('cpu.weight'), await read('cpu.max'), await read('memory.max'), await read('pids.max')]).toEqual([
        '39',
        'max 100000',
        '4096',
        '10',
      ])
      expect(await readFile(join(mountPoint, 'kubepods/cgroup.subtree_control'), 'utf8')).toBe('+pids')
      expect(await cgroups.podsPresent()).toEqual(['u'])
      await writeFile(join(mountPoint, pod, 'cpu.stat'), 'usage_usec 5\n')
      await writeFile(join(mountPoint, pod, 'memory.stat'), 'anon 100\ninactive_file 30\n')
      await writeFile(join(mountPoint, pod, 'memory.current'), '200\n')
      expect(await cgroups.usage(pod)).toMatchObject({ cpuNanos: 5000, memoryUsage: 200, workingSet: 170, rss: 100 })
      expect(await cgroups.usage('/none')).toBeUndefined()
    } finally {
      await rm(mountPoint, { recursive: true })
    }
  })
})
