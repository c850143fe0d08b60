import type { Container, Pod, PodSpec, PodStatus } from '@k3s/api/types/core/v1'
import { describe, expect, test } from 'vitest'
import type { ContainerRecord, PodRuntimeState } from '../runtime/runtime-state.ts'
import type { WaitingReason } from './container-statuses.ts'
import { finalStatus, generateStatus, type FailedVerdict } from './generate-status.ts'
import { statusPatch } from './status-patch.ts'

const podOf = (spec: Partial<PodSpec> = {}): Pod => ({
  metadata: { name: 'p', namespace: 'ns', uid: 'u', generation: 4 },
  spec: { restartPolicy: 'Always', containers: [{ name: 'app', image: 'i' }], ...spec },
})
const record = (name: string, rest: Partial<ContainerRecord> = {}): ContainerRecord => ({
  id: `${name}-id`,
  name,
  sandboxId: 's',
  state: 'running',
  restartCount: 0,
  hash: '',
  image: 'docker.io/library/i:latest',
  imageRef: 'i@sha256:1',
  createdAtMs: 1000,
  startedAtMs: 2000,
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
const exited = (name: string, exitCode: number, rest: Partial<ContainerRecord> = {}): ContainerRecord =>
  record(name, { state: 'exited', exitCode, finishedAtMs: 3000, ...rest })
const stateOf = (...containers: readonly ContainerRecord[]): PodRuntimeState => ({
  uid: 'u',
  name: 'p',
  namespace: 'ns',
  sandboxes: [{ id: 's', attempt: 0, createdAtMs: 1, isReady: true, ips: ['10.0.0.1', 'fd::1'], isHostNetwork: false }],
  containers,
})
interface Extra {
  readonly previous?: PodStatus
  readonly waiting?: Readonly<Record<string, WaitingReason>>
  readonly isTerminating?: boolean
  readonly failure?: FailedVerdict
  readonly ready?: boolean | undefined
}
const generate = (pod: Pod, state: PodRuntimeState, extra: Extra = {}): PodStatus =>
  generateStatus({
    pod,
    state,
    previous: extra.previous ?? {},
    waiting: new Map(Object.entries(extra.waiting ?? {})),
    probes: { isStarted: () => true, isReady: () => ('ready' in extra ? extra.ready : true) },
    runtimeName: 'containerd',
    nodeIps: ['192.0.2.1'],
    nowMs: 10_000,
    isTerminating: extra.isTerminating === true,
    failure: extra.failure,
  })
const condition = (status: PodStatus, type: string): object | undefined => status.conditions?.find((candidate) => candidate.type === type)
const side: Container = { name: 'side', image: 'i', restartPolicy: 'Always' }
const two = { containers: [{ name: 'app' }, { name: 'b' }] }

describe('phase', () => {
  test.each<[string, string, Partial<PodSpec>, PodRuntimeState, boolean?]>([
    ['nothing was started', 'Pending', {}, stateOf()],
    ['one runs', 'Running', {}, stateOf(record('app'))],
    ['one of two was not started', 'Pending', two, stateOf(record('app'))],
    ['all ended under Always', 'Running', {}, stateOf(exited('app', 0))],
    ['all succeeded under Never', 'Succeeded', { restartPolicy: 'Never' }, stateOf(exited('app', 0))],
    ['one failed under Never', 'Failed', { ...two, restartPolicy: 'Never' }, stateOf(exited('app', 0), exited('b', 1))],
    ['one failed and one runs under Never', 'Running', { ...two, restartPolicy: 'Never' }, stateOf(record('app'), exited('b', 1))],
    ['one failed under OnFailure', 'Running', { restartPolicy: 'OnFailure' }, stateOf(exited('app', 1))],
    ['an ending pod whose containers succeeded', 'Succeeded', {}, stateOf(exited('app', 0)), true],
    ['an ending pod whose container failed', 'Failed', {}, stateOf(exited('app', 143)), true],
    ['an init container runs', 'Pending', { initContainers: [{ name: 'init' }] }, stateOf(record('init'))],
    [
      'an init container failed under Never',
      'Failed',
      { restartPolicy: 'Never', initContainers: [{ name: 'init' }] },
      stateOf(exited('init', 1)),
    ],
    ['an init container failed under Always', 'Pending', { initContainers: [{ name: 'init' }] }, stateOf(exited('init', 1))],
    [
      'a sidecar outlives the rest',
      'Running',
      { restartPolicy: 'Never', initContainers: [side] },
      stateOf(exited('app', 0), record('side')),
    ],
    [
      'a sidecar that failed does not fail the pod',
      'Succeeded',
      { restartPolicy: 'Never', initContainers: [side] },
      stateOf(exited('app', 0), exited('side', 1)),
    ],
  ])('%s: %s', (_title, expected, spec, state, isTerminating = false) => {
    expect(generate(podOf(spec), state, { isTerminating }).phase).toBe(expected)
  })
})

describe('generateStatus()', () => {
  test('tells of a running pod', () => {
    const status = generate(podOf(), stateOf(record('app')))
    expect(status).toMatchObject({
      observedGeneration: 4,
      phase: 'Running',
      hostIP: '192.0.2.1',
      podIP: '10.0.0.1',
      podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd::1' }],
      qosClass: 'BestEffort',
      startTime: '1970-01-01T00:00:10Z',
    })
    expect(status.containerStatuses).toEqual([
      {
        name: 'app',
        image: 'docker.io/library/i:latest',
        imageID: 'i@sha256:1',
        containerID: 'containerd://app-id',
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: '1970-01-01T00:00:02Z' } },
        lastState: {},
      },
    ])
    expect(condition(status, 'Ready')).toEqual({
      type: 'Ready',
      status: 'True',
      lastTransitionTime: '1970-01-01T00:00:10Z',
      observedGeneration: 4,
    })
    expect(status.conditions?.map(({ type }) => type)).toEqual([
      'PodReadyToStartContainers',
      'Initialized',
      'Ready',
      'ContainersReady',
      'PodScheduled',
    ])
  })
  test('says PodInitializing of what waits for init containers', () => {
    const status = generate(podOf({ initContainers: [{ name: 'init' }] }), stateOf(record('init')))
    expect(status.containerStatuses?.[0]?.state).toEqual({ waiting: { reason: 'PodInitializing' } })
    expect(condition(status, 'Initialized')).toMatchObject({
      status: 'False',
      reason: 'ContainersNotInitialized',
      message: 'containers with incomplete status: [init]',
    })
    expect(condition(status, 'ContainersReady')).toMatchObject({ status: 'False', message: 'containers with unready status: [app]' })
  })
  test('shows a back-off in place of an end, which becomes the last state', () => {
    const status = generate(podOf(), stateOf(exited('app', 1, { restartCount: 2 })), {
      waiting: { app: { reason: 'CrashLoopBackOff', message: 'm' } },
    })
    expect(status.containerStatuses?.[0]).toMatchObject({
      restartCount: 2,
      state: { waiting: { reason: 'CrashLoopBackOff', message: 'm' } },
      lastState: { terminated: { exitCode: 1, reason: 'Error', containerID: 'containerd://app-id' } },
    })
  })
  test('takes the last state from the container before', () => {
    const status = generate(podOf(), stateOf(record('app', { id: 'new', restartCount: 1 }), exited('app', 3)))
    expect(status.containerStatuses?.[0]).toMatchObject({
      state: { running: {} },
      lastState: { terminated: { exitCode: 3 } },
      restartCount: 1,
    })
  })
  test('keeps what was told of the same container until a probe has a verdict', () => {
    const previous = generate(podOf(), stateOf(record('app')))
    expect(generate(podOf(), stateOf(record('app')), { previous, ready: undefined }).containerStatuses?.[0]?.ready).toBe(true)
    expect(generate(podOf(), stateOf(record('app', { id: 'other' })), { previous, ready: undefined }).containerStatuses?.[0]?.ready).toBe(
      false,
    )
  })
  test('counts a container that vanished as killed', () => {
    const previous = generate(podOf(), stateOf(record('app')))
    expect(generate(podOf(), stateOf(), { previous }).containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      lastState: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' } },
    })
  })
  test('keeps conditions of others and looks at readiness gates', () => {
    const pod = podOf({ readinessGates: [{ conditionType: 'gate' }, { conditionType: 'none' }] })
    const previous = { conditions: [{ type: 'gate', status: 'False' }] }
    const status = generate(pod, stateOf(record('app')), { previous })
    expect(condition(status, 'gate')).toEqual({ type: 'gate', status: 'False' })
    expect(condition(status, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'ReadinessGatesNotReady',
      message:
        'the status of pod readiness gate "gate" is not "True", but False, corresponding condition of pod readiness gate "none" does not exist.',
    })
    expect(condition(status, 'ContainersReady')).toMatchObject({ status: 'True' })
  })
  test('never takes a pod out of its end, and keeps times of what holds on', () => {
    const previous: PodStatus = {
      phase: 'Failed',
      reason: 'Evicted',
      message: 'm',
      startTime: '1970-01-01T00:00:01Z',
      conditions: [{ type: 'PodScheduled', status: 'True', lastTransitionTime: 'then' }],
    }
    const status = generate(podOf(), stateOf(record('app')), { previous })
    expect(status).toMatchObject({ phase: 'Failed', reason: 'Evicted', message: 'm', startTime: '1970-01-01T00:00:01Z' })
    expect(condition(status, 'PodScheduled')).toMatchObject({ lastTransitionTime: 'then' })
  })
  test('tells why the kubelet ended a pod', () => {
    const failure = {
      reason: 'Evicted',
      message: 'm',
      conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'TerminationByKubelet' }],
    }
    const status = generate(podOf(), stateOf(record('app')), { failure })
    expect(status).toMatchObject({ phase: 'Failed', reason: 'Evicted', message: 'm' })
    expect(condition(status, 'DisruptionTarget')).toMatchObject({ status: 'True' })
  })
})

describe('finalStatus()', () => {
  test('counts what was not seen to end as killed', () => {
    const pod = podOf()
    expect(finalStatus(pod, generate(pod, stateOf()))).toMatchObject({
      phase: 'Failed',
      containerStatuses: [{ state: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' } } }],
    })
  })
  test('leaves containers waiting that never had their turn', () => {
    const pod = podOf({ restartPolicy: 'Never', initContainers: [{ name: 'a' }, { name: 'b' }] })
    const status = finalStatus(pod, generate(pod, stateOf(exited('a', 1))))
    expect(status.phase).toBe('Failed')
    expect(status.containerStatuses?.[0]?.state).toEqual({ waiting: { reason: 'PodInitializing' } })
    expect(status.initContainerStatuses?.map(({ state }) => Object.keys(state ?? {}))).toEqual([['terminated'], ['waiting']])
  })
})

describe('statusPatch()', () => {
  test('says only what differs, and takes away what is gone', () => {
    const current: PodStatus = {
      phase: 'Running',
      message: 'old',
      podIPs: [{ ip: 'a' }],
      conditions: [
        { type: 'Ready', status: 'False', reason: 'r', message: 'm' },
        { type: 'other', status: 'True' },
      ],
    }
    const wanted: PodStatus = {
      phase: 'Running',
      podIPs: [{ ip: 'b' }],
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'other', status: 'True' },
      ],
    }
    expect(statusPatch(current, wanted)).toEqual({
      message: null,
      podIPs: [{ $patch: 'replace' }, { ip: 'b' }],
      conditions: [{ type: 'Ready', status: 'True', reason: null, message: null }],
    })
    expect(statusPatch(current, current)).toBeUndefined()
  })
})
