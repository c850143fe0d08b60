import type { Container, Pod, PodSpec } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { createProblems, defaulted, now, rowOf, scopeOf, updateProblems } from '../../../test/strategy-runs.ts'
import { podStrategy } from './strategy.ts'

const strategy = podStrategy({ isPod: true, allowPrivileged: true })
const podOf = (spec: Partial<PodSpec> = {}, container: Partial<Container> = {}): Pod => ({
  metadata: { name: 'web', namespace: 'default', creationTimestamp: '2024-05-01T11:00:00Z' },
  spec: { containers: [{ name: 'main', image: 'nginx', ...container }], ...spec },
})

describe('defaults of pods', () => {
  it('are all of upstream’s', () => {
    expect(defaulted(strategy, podOf()).spec).toEqual({
      containers: [
        {
          name: 'main',
          image: 'nginx',
          imagePullPolicy: 'Always',
          resources: {},
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        },
      ],
      dnsPolicy: 'ClusterFirst',
      enableServiceLinks: true,
      restartPolicy: 'Always',
      schedulerName: 'default-scheduler',
      securityContext: {},
      terminationGracePeriodSeconds: 30,
    })
  })

  it.each([
    ['nginx', 'Always'],
    ['nginx:latest', 'Always'],
    ['nginx:1.27', 'IfNotPresent'],
    ['registry.example:5000/nginx', 'Always'],
    ['nginx@sha256:9b8c0a7d0f0c3e3f2b9a37d2c7f7f1a1f1b8b6d6e5b5a5a5a5a5a5a5a5a5a5a5', 'IfNotPresent'],
  ])('pull %s: %s', (image, policy) => {
    expect(defaulted(strategy, podOf({}, { image })).spec.containers[0]?.imagePullPolicy).toBe(policy)
  })

  it('fill ports, probes, limits and volumes', () => {
    const pod = defaulted(
      strategy,
      podOf(
        { volumes: [{ name: 'v' }, { name: 's', secret: { secretName: 's' } }], hostNetwork: true },
        {
          ports: [{ containerPort: 80 }],
          livenessProbe: { httpGet: { port: 80 } },
          resources: { limits: { cpu: '0.5', memory: '1024Mi' } },
          env: [{ name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } }],
        },
      ),
    )
    expect(pod.spec.volumes).toEqual([
      { name: 'v', emptyDir: {} },
      { name: 's', secret: { secretName: 's', defaultMode: 0o644 } },
    ])
    expect(pod.spec.containers[0]).toMatchObject({
      ports: [{ containerPort: 80, hostPort: 80, protocol: 'TCP' }],
      livenessProbe: {
        httpGet: { port: 80, path: '/', scheme: 'HTTP' },
        timeoutSeconds: 1,
        periodSeconds: 10,
        successThreshold: 1,
        failureThreshold: 3,
      },
      resources: { limits: { cpu: '500m', memory: '1Gi' }, requests: { cpu: '500m', memory: '1Gi' } },
      env: [{ valueFrom: { fieldRef: { apiVersion: 'v1' } } }],
    })
  })
})

describe('validation of pods', () => {
  it.each<[string, Partial<PodSpec>, Partial<Container>, string[]]>([
    ['nothing', {}, {}, []],
    ['no containers', { containers: [] }, {}, ['spec.containers: Required value']],
    ['an image that is missing', {}, { image: '' }, ['spec.containers[0].image: Required value']],
    ['a name twice', { initContainers: [{ name: 'main', image: 'i' }] }, {}, ['spec.initContainers[0].name: Duplicate value: "main"']],
    [
      'a restart policy',
      { restartPolicy: 'Sometimes' },
      {},
      ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
    ],
    [
      'a mount of no volume',
      {},
      { volumeMounts: [{ name: 'v', mountPath: '/v' }] },
      ['spec.containers[0].volumeMounts[0].name: Not found: "v"'],
    ],
    [
      'a port',
      {},
      { ports: [{ containerPort: 70000 }] },
      ['spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive'],
    ],
    [
      'a request above the limit',
      {},
      { resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } },
      ['spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ],
    [
      'a quantity',
      {},
      { resources: { limits: { 'example.com/gpu': '500m' } } },
      [
        'spec.containers[0].resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer',
        'spec.containers[0].resources.requests[example.com/gpu]: Invalid value: "500m": must be an integer',
      ],
    ],
    [
      'a probe without a handler',
      {},
      { livenessProbe: {} },
      ['spec.containers[0].livenessProbe: Required value: must specify a handler type'],
    ],
    [
      'an image pull policy',
      {},
      { imagePullPolicy: 'Often' },
      ['spec.containers[0].imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never"'],
    ],
    [
      'a dns policy without nameservers',
      { dnsPolicy: 'None' },
      {},
      ['spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
    ],
  ])('refuses %s', (_what, spec, container, expected) => {
    expect(createProblems(strategy, podOf(spec, container))).toEqual(expected)
  })
})

describe('updates of pods', () => {
  it('may change images, labels and the deadline', () => {
    const change = (pod: Pod): void => {
      pod.metadata.labels = { a: 'b' }
      pod.spec.activeDeadlineSeconds = 5
      for (const container of pod.spec.containers) container.image = 'nginx:2'
    }
    expect(updateProblems(strategy, podOf(), change)).toEqual([])
  })

  it('may change nothing else', () => {
    const problems = updateProblems(strategy, podOf(), (pod) => {
      pod.spec.hostname = 'other'
    })
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(
      /^spec: Forbidden: pod updates may not change fields other than `spec\.containers\[\*\]\.image`,`spec\.initContainers\[\*\]\.image`,`spec\.activeDeadlineSeconds`,`spec\.tolerations` \(only additions to existing tolerations\),`spec\.terminationGracePeriodSeconds` \(allow it to be set to 1 if it was previously negative\)\n/,
    )
  })

  it('may not add or remove containers', () => {
    const problems = updateProblems(strategy, podOf(), (pod) => pod.spec.containers.push({ name: 'more', image: 'i' }))
    expect(problems).toEqual(['spec.containers: Forbidden: pod updates may not add or remove containers'])
  })
})

describe('deletion of pods', () => {
  it.each<[string, Partial<PodSpec>, Pod['status'], number | undefined, number]>([
    ['without a node', {}, undefined, undefined, 0],
    ['that are done', { nodeName: 'n' }, { phase: 'Succeeded' }, 30, 0],
    ['by their own time', { nodeName: 'n', terminationGracePeriodSeconds: 7 }, { phase: 'Running' }, undefined, 7],
    ['by the time asked for', { nodeName: 'n', terminationGracePeriodSeconds: 7 }, { phase: 'Running' }, 3, 3],
    ['with a time that is negative', { nodeName: 'n', terminationGracePeriodSeconds: -1 }, { phase: 'Running' }, undefined, 1],
  ])('%s', (_what, spec, status, requested, seconds) => {
    expect(strategy.gracefulDeletion?.({ ...podOf(spec), status }, requested)).toEqual({ gracePeriodSeconds: seconds })
  })
})

describe('creation of pods', () => {
  it('starts pending with its quality of service', () => {
    const pod = { ...podOf(), status: { phase: 'Running' } }
    strategy.prepareForCreate?.(pod, scopeOf())
    expect(pod.status).toEqual({ phase: 'Pending', qosClass: 'BestEffort' })
  })
})

describe('columns of pods', () => {
  const status = (name: string, more: object) => ({ name, image: 'i', imageID: '', ready: false, restartCount: 0, ...more })

  it.each<[string, Pod, Record<string, unknown>]>([
    [
      'waiting',
      { ...podOf(), status: { phase: 'Pending' } },
      { Name: 'web', Ready: '0/1', Status: 'Pending', Restarts: '0', Age: '60m', IP: '<none>', Node: '<none>' },
    ],
    [
      'running after restarts',
      {
        ...podOf({ nodeName: 'n' }),
        status: {
          phase: 'Running',
          podIPs: [{ ip: '10.42.0.5' }],
          containerStatuses: [
            status('main', {
              ready: true,
              restartCount: 2,
              state: { running: { startedAt: now } },
              lastState: { terminated: { exitCode: 1, finishedAt: '2024-05-01T11:55:00Z' } },
            }),
          ],
        },
      },
      { Ready: '1/1', Status: 'Running', Restarts: '2 (5m ago)', IP: '10.42.0.5', Node: 'n' },
    ],
    [
      'crashing',
      {
        ...podOf(),
        status: { phase: 'Running', containerStatuses: [status('main', { state: { waiting: { reason: 'CrashLoopBackOff' } } })] },
      },
      { Status: 'CrashLoopBackOff' },
    ],
    [
      'failed by a signal',
      {
        ...podOf(),
        status: { phase: 'Failed', containerStatuses: [status('main', { state: { terminated: { exitCode: 137, signal: 9 } } })] },
      },
      { Status: 'Signal:9' },
    ],
    [
      'in its second init container',
      {
        ...podOf({
          initContainers: [
            { name: 'a', image: 'i' },
            { name: 'b', image: 'i' },
          ],
        }),
        status: {
          phase: 'Pending',
          initContainerStatuses: [
            status('a', { state: { terminated: { exitCode: 0 } } }),
            status('b', { state: { running: { startedAt: now } } }),
          ],
        },
      },
      { Status: 'Init:1/2', Ready: '0/1' },
    ],
    [
      'going',
      { ...podOf(), metadata: { ...podOf().metadata, deletionTimestamp: now }, status: { phase: 'Running' } },
      { Status: 'Terminating' },
    ],
    ['evicted', { ...podOf(), status: { phase: 'Failed', reason: 'Evicted' } }, { Status: 'Evicted' }],
  ])('%s', (_what, pod, cells) => {
    expect(rowOf(strategy, pod)).toMatchObject(cells)
  })
})

describe('annotations of pods', () => {
  it('name profiles that there are', () => {
    const pod = podOf()
    pod.metadata.annotations = {
      'container.seccomp.security.alpha.kubernetes.io/main': 'localhost/../x',
      'seccomp.security.alpha.kubernetes.io/pod': 'other',
      'container.seccomp.security.alpha.kubernetes.io/more': 'runtime/default',
    }
    expect(createProblems(strategy, pod)).toEqual([
      'metadata.annotations.seccomp.security.alpha.kubernetes.io/pod: Invalid value: "other": must be a valid seccomp profile',
      expect.stringMatching(/^metadata\.annotations\.container\.seccomp\.security\.alpha\.kubernetes\.io\/main: Invalid value: "\.\.\/x"/),
    ])
  })
})
