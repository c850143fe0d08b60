import type { Container, Pod, Secret } from '@k3s/api/types/core/v1'
import { describe, expect, test } from 'vitest'
import { containerConfig } from './container-config.ts'
import { planContainerGc } from './container-gc.ts'
import { credentialsFor } from './credentials.ts'
import { planImageGc } from './image-gc.ts'
import { formatImageName, parseImageName } from './image-name.ts'
import { containerHash } from './labels.ts'
import { forbiddenSysctl, sandboxConfig, sandboxHostname } from './sandbox-config.ts'
import { containerSecurityContext, namespaceOptions, verifyNonRoot } from './security-context.ts'

const pod = (spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { app: 'x' } },
  spec: { containers: [{ name: 'c' }], ...spec },
})

describe('image names', () => {
  test.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1', 'docker.io/library/nginx:1'],
    ['user/app', 'docker.io/user/app:latest'],
    ['ghcr.io/a/b:v1', 'ghcr.io/a/b:v1'],
    ['localhost:5000/x', 'localhost:5000/x:latest'],
    ['localhost/x', 'localhost/x:latest'],
    [`a@sha256:${'0'.repeat(64)}`, `docker.io/library/a@sha256:${'0'.repeat(64)}`],
  ])('%s is %s', (image, expected) => {
    const name = parseImageName(image)
    expect(name === undefined ? undefined : formatImageName(name)).toBe(expected)
  })
  test.each(['', 'UPPER', 'a b', 'a:', 'a//b', ':1', 'a@sha256:1'])('%j is none', (image) => {
    expect(parseImageName(image)).toBeUndefined()
  })
})

test('credentialsFor() takes the entries of the registry, the longest path first', () => {
  const secret = (auths: object): Secret => ({
    metadata: { name: 's' },
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  })
  const secrets = [
    secret({
      'https://index.docker.io/v1/': { auth: Buffer.from('hub:pw:1').toString('base64') },
      'ghcr.io': { username: 'all', password: 'p' },
    }),
    secret({ 'ghcr.io/team': { username: 'team', password: 'p' }, '*.example.org': { username: 'glob', password: 'p' } }),
    { metadata: { name: 'broken' }, data: { '.dockerconfigjson': '%%%' } },
  ]
  const users = (image: string): (string | undefined)[] => credentialsFor(image, secrets).map(({ username }) => username)
  expect(users('ghcr.io/team/app')).toEqual(['team', 'all'])
  expect(users('ghcr.io/other/app')).toEqual(['all'])
  expect(users('r.example.org/x')).toEqual(['glob'])
  expect(users('quay.io/x')).toEqual([])
  expect(credentialsFor('nginx', secrets)[0]).toMatchObject({ username: 'hub', password: 'pw:1' })
})

test('planContainerGc() keeps the newest dead container of a live pod and nothing of a gone one', () => {
  const container = (id: string, podUid: string, createdAt: number, isDead = true): Parameters<typeof planContainerGc>[0][number] => ({
    id,
    podUid,
    name: 'c',
    sandboxId: `s-${id}`,
    isDead,
    createdAt,
  })
  const sandbox = (id: string, podUid: string, createdAt: number, isReady = false): Parameters<typeof planContainerGc>[1][number] => ({
    id,
    podUid,
    isReady,
    createdAt,
  })
  const plan = planContainerGc(
    [container('1', 'live', 1), container('2', 'live', 2), container('3', 'live', 3, false), container('4', 'gone', 1)],
    [
      sandbox('s-1', 'live', 1),
      sandbox('s-2', 'live', 2),
      sandbox('s-3', 'live', 3, true),
      sandbox('s-4', 'gone', 1),
      sandbox('last', 'idle', 1),
    ],
    (uid) => uid === 'gone',
  )
  expect(plan).toEqual({ containers: ['1', '4'], sandboxes: ['s-1', 's-4'] })
})

test('planImageGc() takes unused images, the longest unused first, until enough is free', () => {
  const image = (id: string, rest: object = {}): Parameters<typeof planImageGc>[0][number] => ({
    id,
    sizeBytes: 10,
    isPinned: false,
    isUsed: false,
    firstSeenMs: 0,
    lastUsedMs: 0,
    ...rest,
  })
  const images = [
    image('new', { firstSeenMs: 950 }),
    image('used', { isUsed: true }),
    image('pinned', { isPinned: true }),
    image('b', { lastUsedMs: 5 }),
    image('a'),
    image('c', { lastUsedMs: 9 }),
  ]
  expect(planImageGc(images, 15, 1000, 100).map(({ id }) => id)).toEqual(['a', 'b'])
})

test('containerHash() changes with the image alone', () => {
  const hash = (rest: Partial<Container>): string => containerHash({ name: 'c', image: 'i', ...rest })
  expect(hash({ args: ['x'] })).toBe(hash({}))
  expect(hash({ image: 'j' })).not.toBe(hash({}))
})

describe('sandboxes', () => {
  test('have labels, port mappings, sysctls and namespaces of the pod', () => {
    const config = sandboxConfig(
      pod({
        hostPID: true,
        containers: [{ name: 'c', securityContext: { privileged: true }, ports: [{ containerPort: 80, hostPort: 8080, protocol: 'UDP' }] }],
        securityContext: { sysctls: [{ name: 'net/core/somaxconn', value: '1' }], fsGroup: 7, supplementalGroups: [8] },
      }),
      {
        attempt: 2,
        dns: { servers: [], searches: [], options: [] },
        clusterDomain: 'd',
        podLogsDir: '/logs',
        seccompDir: '/sec',
        cgroupParent: '/cg',
      },
    )
    expect(config).toMatchObject({
      metadata: { name: 'p', namespace: 'ns', uid: 'u', attempt: 2 },
      hostname: 'p',
      logDirectory: '/logs/ns_p_u',
      portMappings: [{ containerPort: 80, hostPort: 8080, protocol: 'UDP' }],
      labels: { app: 'x', 'io.kubernetes.pod.uid': 'u' },
      linux: {
        cgroupParent: '/cg',
        sysctls: { 'net.core.somaxconn': '1' },
        securityContext: { privileged: true, supplementalGroups: [7, 8], namespaceOptions: { network: 'POD', pid: 'NODE', ipc: 'POD' } },
      },
    })
  })
  test('are named by the whole domain when the pod asks for it', () => {
    const spec = { hostname: 'h', subdomain: 's', setHostnameAsFQDN: true }
    expect(sandboxHostname(pod(spec), 'cluster.local')).toBe('h.s.ns.svc.cluster.local')
    expect(() => sandboxHostname(pod({ ...spec, subdomain: 'x'.repeat(60) }), 'cluster.local')).toThrow(
      'is too long (64 characters is the max',
    )
  })
  test.each([
    ['kernel.shm_rmid_forced', false, undefined],
    ['kernel.msgmax', false, 'kernel.msgmax'],
    ['net.core.somaxconn', false, undefined],
    ['net.ipv4.tcp_syncookies', true, 'net.ipv4.tcp_syncookies'],
  ])('sysctl %s with hostNetwork %s', (name, hostNetwork, expected) => {
    expect(forbiddenSysctl(pod({ hostNetwork, securityContext: { sysctls: [{ name, value: '1' }] } }), ['net.core.*'])).toBe(expected)
  })
})

describe('containers', () => {
  const image = { uid: undefined, username: '' }
  const options = { seccompDir: '/sec', hasAppArmor: false }
  test('run with what the container says before what the pod says', () => {
    const spec = {
      securityContext: { runAsUser: 1, runAsGroup: 2, seccompProfile: { type: 'RuntimeDefault' } },
      shareProcessNamespace: true,
    }
    const own = {
      name: 'c',
      securityContext: {
        runAsUser: 5,
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { add: ['CAP_NET_ADMIN'], drop: ['ALL'] },
      },
    }
    expect(containerSecurityContext(pod(spec), own, image, options)).toMatchObject({
      runAsUser: { value: 5 },
      runAsGroup: { value: 2 },
      noNewPrivs: true,
      readonlyRootfs: true,
      seccomp: { profileType: 'RuntimeDefault' },
      capabilities: { addCapabilities: ['NET_ADMIN'], dropCapabilities: ['ALL'] },
      namespaceOptions: { pid: 'POD' },
    })
  })
  test('ask for no AppArmor profile where the kernel has none, and for no masked paths when privileged', () => {
    const own = { name: 'c', securityContext: { privileged: true, appArmorProfile: { type: 'RuntimeDefault' } } }
    const context = containerSecurityContext(pod(), own, image, options)
    expect(context).not.toHaveProperty('apparmor')
    expect(context.maskedPaths).toEqual([])
    expect(containerSecurityContext(pod(), own, image, { ...options, hasAppArmor: true })).toHaveProperty(
      'apparmor.profileType',
      'RuntimeDefault',
    )
  })
  test('of another container join its processes', () => {
    expect(namespaceOptions(pod(), 'id')).toMatchObject({ pid: 'TARGET', targetId: 'id' })
  })
  test.each([
    [{ runAsUser: 0 }, { uid: 5, username: '' }, "container's runAsUser breaks non-root policy"],
    [{}, { uid: 0, username: '' }, 'container has runAsNonRoot and image will run as root'],
    [
      {},
      { uid: undefined, username: 'www' },
      'container has runAsNonRoot and image has non-numeric user (www), cannot verify user is non-root',
    ],
    [{ runAsUser: 9 }, { uid: 0, username: '' }, undefined],
    [{}, { uid: 9, username: '' }, undefined],
  ])('verifyNonRoot() of %o on %o', (own, user, message) => {
    const call = (): void => verifyNonRoot(pod(), { name: 'c', securityContext: { runAsNonRoot: true, ...own } }, user)
    const said = ((): string | undefined => {
      try {
        call()
        return undefined
      } catch (error) {
        return String(error)
      }
    })()
    expect(said?.includes(message ?? '') ?? message === undefined).toBe(true)
    expect(said === undefined).toBe(message === undefined)
  })
  test('get expanded commands, limits and identity', () => {
    const container = { name: 'c', image: 'i', command: ['$(A)'], args: ['$$(A)'], resources: { limits: { cpu: '500m', memory: '1Mi' } } }
    const config = containerConfig(pod({ containers: [container] }), container, {
      restartCount: 3,
      env: new Map([['A', 'x']]),
      mounts: [],
      imageRef: 'sha256:1',
      imageUser: image,
      memoryCapacity: 2 ** 30,
      minOomScoreAdj: 0,
      security: options,
    })
    expect(config).toMatchObject({
      metadata: { name: 'c', attempt: 3 },
      command: ['x'],
      args: ['$(A)'],
      logPath: 'c/3.log',
      annotations: { 'io.kubernetes.container.restartCount': '3' },
      linux: { resources: { cpuShares: 512, cpuQuota: 50_000, memoryLimitInBytes: 1_048_576, oomScoreAdj: 0 } },
    })
  })
})
