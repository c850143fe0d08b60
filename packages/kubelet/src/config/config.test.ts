import type { ConfigMap, Container, Pod, Secret, Service } from '@k3s/api/types/core/v1'
import { describe, expect, test } from 'vitest'
import { parseResolvConf, podDns } from './dns.ts'
import { fieldValue, formatMap, resourceValue } from './downward.ts'
import { makeEnvironment, type EnvironmentSources } from './environment.ts'
import { expand, expandStrictly } from './expansion.ts'
import { podHostsFile } from './hosts-file.ts'
import { referencesOf } from './references.ts'
import { serviceEnv } from './service-env.ts'

const pod: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { b: '2', a: 'x"y' }, annotations: { 'k/v': 'w' } },
  spec: { nodeName: 'n', serviceAccountName: 'sa', containers: [{ name: 'c' }] },
}
const addresses = { hostIps: ['1.1.1.1', 'fd::1'], podIps: ['10.0.0.1', 'fd::2'] }
const base64 = (text: string): string => Buffer.from(text).toString('base64')

describe('expand()', () => {
  const env = new Map([['A', '1']])
  test.each([
    ['$(A)', '1'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['$(B)', '$(B)'],
    ['a$(A)b$', 'a1b$'],
    ['$(A', '$(A'],
  ])('%s is %s', (text, expected) => {
    expect(expand(text, [env])).toBe(expected)
  })
  test('expandStrictly() refuses unknown names', () => {
    expect(() => expandStrictly('$(B)', env)).toThrow('missing value for "B"')
  })
})

describe('the downward API', () => {
  test.each([
    ['metadata.name', 'p'],
    ["metadata.labels['b']", '2'],
    ["metadata.annotations['k/v']", 'w'],
    ["metadata.labels['none']", ''],
    ['metadata.labels', 'a="x\\"y"\nb="2"'],
    ['spec.nodeName', 'n'],
    ['spec.serviceAccountName', 'sa'],
    ['status.hostIP', '1.1.1.1'],
    ['status.podIPs', '10.0.0.1,fd::2'],
  ])('%s', (path, expected) => {
    expect(fieldValue(pod, path, addresses)).toBe(expected)
  })
  test('formatMap() writes control characters as Go does', () => {
    expect(formatMap({ a: '\u0007\n\u0001' })).toBe(String.raw`a="\a\n\x01"`)
  })
  const container: Container = { name: 'c', resources: { limits: { cpu: '1500m', memory: '64Mi' }, requests: { cpu: '250m' } } }
  test.each([
    ['limits.cpu', undefined, '2'],
    ['limits.cpu', '1m', '1500'],
    ['requests.cpu', '1m', '250'],
    ['limits.memory', '1Mi', '64'],
    ['requests.memory', undefined, '67108864'],
    ['limits.ephemeral-storage', '1Gi', '10'],
  ])('%s by %s', (resource, divisor, expected) => {
    expect(resourceValue(container, { resource, divisor }, { 'ephemeral-storage': '10Gi' })).toBe(expected)
  })
})

describe('makeEnvironment()', () => {
  const configMaps: Readonly<Record<string, ConfigMap>> = { cm: { metadata: { name: 'cm' }, data: { a: '1', b: '2' } } }
  const secrets: Readonly<Record<string, Secret>> = { s: { metadata: { name: 's' }, data: { pw: base64('geheim') } } }
  const sources: EnvironmentSources = {
    getConfigMap: (_namespace, name) => Promise.resolve(configMaps[name]),
    getSecret: (_namespace, name) => Promise.resolve(secrets[name]),
    serviceEnv: new Map([
      ['SVC', 'svc'],
      ['A', 'shadowed'],
    ]),
    addresses,
    allocatable: {},
  }
  const make = async (container: Partial<Container>): Promise<Record<string, string>> =>
    Object.fromEntries(await makeEnvironment(pod, { name: 'c', ...container }, sources))

  test('takes envFrom with prefix, then env in order, then services', async () => {
    const env = await make({
      envFrom: [
        { prefix: 'P_', configMapRef: { name: 'cm' } },
        { secretRef: { name: 's' } },
        { configMapRef: { name: 'none', optional: true } },
      ],
      env: [
        { name: 'A', value: '$(P_a)$(SVC)$(LATER)' },
        { name: 'LATER', value: 'x' },
        { name: 'E' },
        { name: 'F', valueFrom: { configMapKeyRef: { name: 'cm', key: 'no', optional: true } } },
        { name: 'G', valueFrom: { secretKeyRef: { name: 's', key: 'pw' } } },
      ],
    })
    expect(env).toEqual({ P_a: '1', P_b: '2', pw: 'geheim', A: '1svc$(LATER)', LATER: 'x', E: '', G: 'geheim', SVC: 'svc' })
  })
  test.each([
    [{ configMapKeyRef: { name: 'no', key: 'a' } }, 'configmap "no" not found'],
    [{ configMapKeyRef: { name: 'cm', key: 'z' } }, "couldn't find key z in ConfigMap ns/cm"],
    [{ secretKeyRef: { name: 's', key: 'z' } }, "couldn't find key z in Secret ns/s"],
  ])('says what is missing in %o', async (valueFrom, message) => {
    await expect(make({ env: [{ name: 'X', valueFrom }] })).rejects.toThrow(message)
  })
})

test('serviceEnv() tells of the services of the namespace and always of the API server', () => {
  const service = (namespace: string, name: string, clusterIP: string): Service => ({
    metadata: { name, namespace },
    spec: {
      clusterIP,
      ports: [
        { port: 80, name: 'http' },
        { port: 53, protocol: 'UDP' },
      ],
    },
  })
  const all = [
    service('default', 'kubernetes', '10.43.0.1'),
    service('ns', 'my-db', '10.43.0.2'),
    service('ns', 'headless', 'None'),
    service('other', 'x', '10.43.0.3'),
  ]
  expect([...serviceEnv(all, 'ns', false).keys()].every((name) => name.startsWith('KUBERNETES_'))).toBe(true)
  const env = serviceEnv(all, 'ns', true)
  expect(Object.fromEntries(env)).toMatchObject({
    MY_DB_SERVICE_HOST: '10.43.0.2',
    MY_DB_SERVICE_PORT: '80',
    MY_DB_SERVICE_PORT_HTTP: '80',
    MY_DB_PORT: 'tcp://10.43.0.2:80',
    MY_DB_PORT_53_UDP: 'udp://10.43.0.2:53',
    MY_DB_PORT_53_UDP_PROTO: 'udp',
    MY_DB_PORT_80_TCP_ADDR: '10.43.0.2',
  })
  expect([...env.keys()].some((name) => name.startsWith('HEADLESS') || name.startsWith('X_'))).toBe(false)
})

describe('podDns()', () => {
  const host = parseResolvConf('# c\nnameserver 1.1.1.1 # x\nsearch example.org\noptions timeout:1\n')
  const settings = { clusterDns: ['10.43.0.10'], clusterDomain: 'cluster.local', host }
  const dns = (spec: Partial<Pod['spec']>): object => podDns({ ...pod, spec: { ...pod.spec, ...spec } }, settings)
  const cluster = {
    servers: ['10.43.0.10'],
    searches: ['ns.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'example.org'],
    options: ['ndots:5'],
  }
  test.each<[string, Partial<Pod['spec']>, object]>([
    ['ClusterFirst', {}, cluster],
    ['ClusterFirst on the host network', { hostNetwork: true }, host],
    ['ClusterFirstWithHostNet', { dnsPolicy: 'ClusterFirstWithHostNet', hostNetwork: true }, cluster],
    ['Default', { dnsPolicy: 'Default' }, { servers: ['1.1.1.1'], searches: ['example.org'], options: ['timeout:1'] }],
    [
      'None',
      {
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['9.9.9.9'], searches: ['a'], options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }] },
      },
      { servers: ['9.9.9.9'], searches: ['a'], options: ['ndots:2', 'edns0'] },
    ],
    ['own options win', { dnsConfig: { options: [{ name: 'ndots', value: '1' }] } }, { ...cluster, options: ['ndots:1'] }],
  ])('%s', (_title, spec, expected) => {
    expect(dns(spec)).toEqual(expected)
  })
})

test('podHostsFile() has the pod by name and domain, and its aliases', () => {
  const text = podHostsFile(['10.0.0.1'], 'h', 's.ns.svc.cluster.local', [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }])
  expect(text.startsWith('# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n')).toBe(true)
  expect(text).toContain('10.0.0.1\th.s.ns.svc.cluster.local\th\n')
  expect(text.endsWith('\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n')).toBe(true)
})

test('referencesOf() finds every object that a pod is made from', () => {
  const references = referencesOf({
    ...pod,
    spec: {
      containers: [
        {
          name: 'c',
          envFrom: [{ configMapRef: { name: 'cm1' } }],
          env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 's1', key: 'k' } } }],
        },
      ],
      initContainers: [{ name: 'i', envFrom: [{ secretRef: { name: 's2' } }] }],
      imagePullSecrets: [{ name: 's3' }],
      volumes: [
        { name: 'a', configMap: { name: 'cm2' } },
        { name: 'b', projected: { sources: [{ configMap: { name: 'cm3' } }, { secret: { name: 's4' } }] } },
        { name: 'd', secret: { secretName: 's5' } },
      ],
    },
  })
  expect([...references.configMaps].toSorted()).toEqual(['cm1', 'cm2', 'cm3'])
  expect([...references.secrets].toSorted()).toEqual(['s1', 's2', 's3', 's4', 's5'])
})
