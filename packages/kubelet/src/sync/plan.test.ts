import type { Container, Pod, PodSpec } from '@k3s/api/types/core/v1'
import { describe, expect, test } from 'vitest'
import { containerHash } from '../runtime/labels.ts'
import type { ContainerRecord, PodRuntimeState, SandboxRecord } from '../runtime/runtime-state.ts'
import { planSync, type ProbeVerdicts } from './plan.ts'

const noProbes: ProbeVerdicts = { startup: () => undefined, liveness: () => undefined }
const c = (name: string, rest: Partial<Container> = {}): Container => ({ name, image: 'i', ...rest })
const podOf = (spec: Partial<PodSpec>): Pod => ({
  metadata: { name: 'p', namespace: 'default', uid: 'u' },
  spec: { restartPolicy: 'Always', containers: [c('app')], ...spec },
})
const sandbox = (rest: Partial<SandboxRecord> = {}): SandboxRecord => ({
  id: 's0',
  attempt: 0,
  createdAtMs: 1,
  isReady: true,
  ips: ['10.0.0.1'],
  isHostNetwork: false,
  ...rest,
})
const record = (name: string, rest: Partial<ContainerRecord> = {}): ContainerRecord => ({
  id: `${name}-id`,
  name,
  sandboxId: 's0',
  state: 'running',
  restartCount: 0,
  hash: containerHash(c(name)),
  image: 'i',
  imageRef: 'i',
  createdAtMs: 1,
  startedAtMs: 1,
  finishedAtMs: 0,
  exitCode: 0,
  reason: '',
  message: '',
  logPath: '',
  terminationGraceSeconds: undefined,
  preStop: undefined,
  user: undefined,
  ...rest,
})
const exited = (name: string, exitCode = 0): ContainerRecord => record(name, { state: 'exited', exitCode })
const state = (containers: readonly ContainerRecord[] = [], sandboxes: readonly SandboxRecord[] = [sandbox()]): PodRuntimeState => ({
  uid: 'u',
  name: 'p',
  namespace: 'default',
  sandboxes,
  containers,
})
const summary = (pod: Pod, runtime: PodRuntimeState, probes: ProbeVerdicts = noProbes): object => {
  const { killPod, kill, newSandboxAttempt, start } = planSync(pod, runtime, probes)
  return {
    killPod,
    kill: kill.map(({ record: { name } }) => name),
    attempt: newSandboxAttempt,
    start: start.map(({ container: { name } }) => name),
  }
}

describe('planSync()', () => {
  const sidecar = c('side', { restartPolicy: 'Always' })
  const table: readonly (readonly [string, Partial<PodSpec>, PodRuntimeState, object])[] = [
    ['a new pod gets a sandbox and its containers', {}, state([], []), { killPod: false, kill: [], attempt: 0, start: ['app'] }],
    [
      'a new pod with init containers begins with the first',
      { initContainers: [c('a'), c('b')] },
      state([], []),
      { killPod: false, kill: [], attempt: 0, start: ['a'] },
    ],
    ['a running pod needs nothing', {}, state([record('app')]), { killPod: false, kill: [], attempt: undefined, start: [] }],
    [
      'an ended container starts again under Always',
      {},
      state([exited('app')]),
      { killPod: false, kill: [], attempt: undefined, start: ['app'] },
    ],
    [
      'a success is final under OnFailure',
      { restartPolicy: 'OnFailure' },
      state([exited('app')]),
      { killPod: true, kill: [], attempt: undefined, start: [] },
    ],
    [
      'a failure starts again under OnFailure',
      { restartPolicy: 'OnFailure' },
      state([exited('app', 1)]),
      { killPod: false, kill: [], attempt: undefined, start: ['app'] },
    ],
    [
      'everything is final under Never',
      { restartPolicy: 'Never' },
      state([exited('app', 1)]),
      { killPod: true, kill: [], attempt: undefined, start: [] },
    ],
    [
      'a dead sandbox is replaced',
      {},
      state([exited('app')], [sandbox({ isReady: false })]),
      { killPod: true, kill: [], attempt: 1, start: ['app'] },
    ],
    [
      'a sandbox without an address is replaced',
      {},
      state([], [sandbox({ ips: [] })]),
      { killPod: true, kill: [], attempt: 1, start: ['app'] },
    ],
    [
      'a dead sandbox ends a pod that never restarts',
      { restartPolicy: 'Never' },
      state([exited('app', 137)], [sandbox({ isReady: false })]),
      { killPod: true, kill: [], attempt: undefined, start: [] },
    ],
    [
      'the image of a running container was changed',
      { containers: [c('app', { image: 'new' })] },
      state([record('app')]),
      { killPod: false, kill: ['app'], attempt: undefined, start: ['app'] },
    ],
    [
      'an init container is waited for',
      { initContainers: [c('a'), c('b')] },
      state([record('a')]),
      { killPod: false, kill: [], attempt: undefined, start: [] },
    ],
    [
      'the next init container follows a success',
      { initContainers: [c('a'), c('b')] },
      state([exited('a')]),
      { killPod: false, kill: [], attempt: undefined, start: ['b'] },
    ],
    [
      'a failed init container starts again',
      { initContainers: [c('a')] },
      state([exited('a', 1)]),
      { killPod: false, kill: [], attempt: undefined, start: ['a'] },
    ],
    [
      'a failed init container ends a pod that never restarts',
      { restartPolicy: 'Never', initContainers: [c('a')] },
      state([exited('a', 1)]),
      { killPod: true, kill: [], attempt: undefined, start: [] },
    ],
    [
      'the last init container opens the way',
      { initContainers: [c('a'), c('b')] },
      state([exited('b'), exited('a')]),
      { killPod: false, kill: [], attempt: undefined, start: ['app'] },
    ],
    [
      'init containers whose records were collected do not run again',
      { initContainers: [c('a')] },
      state([record('app')]),
      { killPod: false, kill: [], attempt: undefined, start: [] },
    ],
    [
      'init records of an older sandbox do not count',
      { initContainers: [c('a')] },
      state([record('a', { state: 'exited', sandboxId: 'old' })]),
      { killPod: false, kill: [], attempt: undefined, start: ['a'] },
    ],
    [
      'a started sidecar opens the way',
      { initContainers: [sidecar] },
      state([record('side')]),
      { killPod: false, kill: [], attempt: undefined, start: ['app'] },
    ],
    [
      'a sidecar with a startup probe is waited for',
      { initContainers: [{ ...sidecar, startupProbe: {} }, c('b')] },
      state([record('side')]),
      { killPod: false, kill: [], attempt: undefined, start: [] },
    ],
    [
      'an ended sidecar starts again beside running containers',
      { initContainers: [sidecar] },
      state([exited('side', 1), record('app')]),
      { killPod: false, kill: [], attempt: undefined, start: ['side'] },
    ],
    [
      'sidecars do not keep a finished pod alive',
      { restartPolicy: 'Never', initContainers: [sidecar] },
      state([record('side'), exited('app')]),
      { killPod: true, kill: [], attempt: undefined, start: [] },
    ],
    [
      'a container rule restarts by exit code',
      {
        restartPolicy: 'Never',
        containers: [
          c('app', { restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }] }),
        ],
      },
      state([exited('app', 42)]),
      { killPod: false, kill: [], attempt: undefined, start: ['app'] },
    ],
    [
      'a new ephemeral container starts once',
      { ephemeralContainers: [{ name: 'debug', image: 'i' }] },
      state([record('app')]),
      { killPod: false, kill: [], attempt: undefined, start: ['debug'] },
    ],
    [
      'an ended ephemeral container stays ended',
      { ephemeralContainers: [{ name: 'debug', image: 'i' }] },
      state([record('app'), exited('debug', 1)]),
      { killPod: false, kill: [], attempt: undefined, start: [] },
    ],
    [
      'a container in an unknown state is killed and started',
      {},
      state([record('app', { state: 'unknown' })]),
      { killPod: false, kill: ['app'], attempt: undefined, start: ['app'] },
    ],
  ]
  test.each(table)('%s', (_title, spec, runtime, expected) => {
    expect(summary(podOf(spec), runtime)).toEqual(expected)
  })

  test('a failed liveness probe restarts a container, and only kills it under Never', () => {
    const probes = { ...noProbes, liveness: () => false }
    expect(summary(podOf({}), state([record('app')]), probes)).toMatchObject({ kill: ['app'], start: ['app'] })
    expect(summary(podOf({ restartPolicy: 'Never' }), state([record('app')]), probes)).toMatchObject({ start: [], killPod: true })
  })
})
