import { type Namespace, namespaces, type Pod, type PodSpec, pods, services } from '@k3s/api/types/core/v1'
import { describe, expect, it } from 'vitest'
import { runAdmission } from '../../test/run-admission.ts'
import { stored } from '../../test/strategy-runs.ts'
import { admissionPluginNames, builtInAdmission } from './built-in.ts'
import { parsePodSecurityConfiguration, policyOf } from './pod-security/configuration.ts'

const podOf = (spec: Partial<PodSpec> = {}, name = 'web'): Pod => ({
  metadata: { name, namespace: 'a' },
  spec: { containers: [{ name: 'main', image: 'i' }], ...spec },
})
const namespaceOf = (labels: Record<string, string> = {}): Namespace => ({
  metadata: {
    name: 'a',
    labels: Object.fromEntries(Object.entries(labels).map(([mode, value]) => [`pod-security.kubernetes.io/${mode}`, value])),
  },
  spec: {},
})
const key = (name: string): string => `pod-security.kubernetes.io/${name}`
const configuration = (fields: object) =>
  parsePodSecurityConfiguration({ apiVersion: 'pod-security.admission.config.k8s.io/v1', kind: 'PodSecurityConfiguration', ...fields })

describe('PodSecurity with a configuration', () => {
  const only = ['PodSecurity']
  const podSecurity = configuration({
    defaults: { enforce: 'baseline', 'enforce-version': 'v1.30', audit: 'restricted', warn: 'restricted' },
    exemptions: { namespaces: ['free'], usernames: ['root'], runtimeClasses: ['kata'] },
  })
  const settings = { podSecurity }
  const hostPod = podOf({ hostNetwork: true })

  it('demands its defaults of namespaces that say nothing, and notes what it did', async () => {
    const home = [stored(namespaces, namespaceOf())]
    await expect(runAdmission(pods, hostPod, { only, settings, stored: home })).rejects.toMatchObject({
      message: 'pods "web" is forbidden: violates PodSecurity "baseline:v1.30": host namespaces (hostNetwork=true)',
    })
    const { scope } = await runAdmission(pods, podOf(), { only, settings, stored: home })
    expect(scope.annotations).toEqual({
      [key('enforce-policy')]: 'baseline:v1.30',
      [key('audit-violations')]: expect.stringMatching(
        /^would violate PodSecurity "restricted:latest": allowPrivilegeEscalation/,
      ) as string,
    })
    expect(scope.warnings).toEqual([scope.annotations[key('audit-violations')]])
  })

  it('lets off users, namespaces and runtime classes, and says so', async () => {
    const home = [stored(namespaces, namespaceOf({ enforce: 'restricted' }))]
    const root = await runAdmission(pods, hostPod, { only, settings, stored: home, user: { name: 'root', groups: [] } })
    expect(root.scope.annotations).toEqual({ [key('exempt')]: 'user' })
    const kata = await runAdmission(pods, podOf({ hostNetwork: true, runtimeClassName: 'kata' }), { only, settings, stored: home })
    expect(kata.scope.annotations).toEqual({ [key('exempt')]: 'runtimeClass' })
    const free = { ...hostPod, metadata: { name: 'web', namespace: 'free' } }
    expect((await runAdmission(pods, free, { only, settings })).scope.annotations).toEqual({ [key('exempt')]: 'namespace' })
    const { scope } = await runAdmission(
      namespaces,
      { ...namespaceOf({ enforce: 'restricted' }), metadata: { name: 'free', labels: { [key('enforce')]: 'restricted' } } },
      { only, settings },
    )
    expect(scope.warnings).toEqual([
      'namespace "free" is exempt from Pod Security, and the policy (enforce=restricted:latest) will be ignored'.replace('latest', 'v1.30'),
    ])
  })

  it('judges again only what changes an image or adds a container', async () => {
    const home = [stored(namespaces, namespaceOf({ enforce: 'restricted' }))]
    const update = (spec: Partial<PodSpec>): Promise<unknown> =>
      runAdmission(pods, podOf({ hostNetwork: true, ...spec }), { only, stored: home, old: podOf({ hostNetwork: true }) })
    await expect(update({ activeDeadlineSeconds: 5 })).resolves.toBeDefined()
    await expect(update({ containers: [{ name: 'main', image: 'other' }] })).rejects.toMatchObject({ code: 403 })
  })

  it('warns of pods that are there when a namespace becomes stricter', async () => {
    const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'r', uid: '7', controller: true }
    const all = ['c', 'b', 'a'].map((name) =>
      stored(pods, { ...podOf({}, name), metadata: { name, namespace: 'a', ownerReferences: [owner] } }),
    )
    const change = (from: Record<string, string>, to: Record<string, string>) =>
      runAdmission(namespaces, namespaceOf(to), { only, old: namespaceOf(from), stored: all }).then(({ scope }) => scope.warnings)
    const text = 'allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile'
    expect(await change({}, { enforce: 'restricted' })).toEqual([
      'existing pods in namespace "a" violate the new PodSecurity enforce level "restricted:latest"',
      `a (and 2 other pods): ${text}`,
    ])
    expect(await change({}, { enforce: 'baseline' })).toEqual([])
    expect(await change({ enforce: 'restricted' }, { enforce: 'baseline' })).toEqual([])
  })

  it('fails closed for enforcing and open for the rest, and warns of what it enforces', () => {
    const { defaults } = configuration({})
    expect(policyOf(namespaceOf({ enforce: 'odd', audit: 'odd', warn: 'odd' }), defaults)).toMatchObject({
      enforce: { level: 'restricted' },
      audit: { level: 'privileged' },
      warn: { level: 'privileged' },
    })
    expect(policyOf(namespaceOf({ enforce: 'baseline', 'enforce-version': 'v1.20' }), defaults).warn).toEqual({
      level: 'baseline',
      version: 'v1.20',
    })
  })

  it.each([
    [{ defaults: { enforce: 'odd' } }, 'defaults.enforce: must be one of privileged, baseline, restricted'],
    [{ defaults: { 'warn-version': '1.2' } }, 'defaults.warn-version: must be "latest" or "v1.x"'],
    [{ defaults: { enfroce: 'baseline' } }, 'defaults.enfroce: unknown field'],
    [{ exemptions: { namespaces: ['a', 'a'] } }, 'exemptions.namespaces: each name may be there once'],
    [{ kind: 'Other' }, 'must be a PodSecurityConfiguration'],
  ])('refuses %j', (fields, message) => {
    expect(() => configuration(fields)).toThrow(message)
  })
})

describe('admission that is asked for', () => {
  const asked = (name: string) => ({ only: [name], settings: { enabled: [name] } })

  it('is off otherwise, and what is on can be left out', () => {
    const named = (settings: object): string[] =>
      builtInAdmission({ ...settings, authorizer: undefined as never, rules: undefined as never, operations: undefined as never }).map(
        ({ name }) => name,
      )
    for (const name of admissionPluginNames.off) {
      expect(named({})).not.toContain(name)
      expect(named({ enabled: [name] })).toContain(name)
    }
    expect(named({ disabled: ['ResourceQuota'] })).not.toContain('ResourceQuota')
  })

  it('pulls every image anew', async () => {
    const { request } = await runAdmission(
      pods,
      podOf({
        containers: [{ name: 'main', image: 'i', imagePullPolicy: 'Never' }],
        volumes: [{ name: 'v', image: { reference: 'r', pullPolicy: 'IfNotPresent' } }],
      }),
      asked('AlwaysPullImages'),
    )
    expect(request.object).toMatchObject({
      spec: { containers: [{ imagePullPolicy: 'Always' }], volumes: [{ image: { pullPolicy: 'Always' } }] },
    })
    const never = podOf({ containers: [{ name: 'main', image: 'i', imagePullPolicy: 'Never' }] })
    const { request: update } = await runAdmission(pods, never, { ...asked('AlwaysPullImages'), old: never })
    expect(update.object).toMatchObject({ spec: { containers: [{ imagePullPolicy: 'Never' }] } })
  })

  it('lets services have no new external addresses', async () => {
    const service = (...externalIPs: readonly string[]) => ({
      metadata: { name: 's', namespace: 'a' },
      spec: { externalIPs: [...externalIPs] },
    })
    const refused = { code: 403, message: 'services "s" is forbidden: Use of external IPs is denied by admission control' }
    await expect(runAdmission(services, service('192.0.2.1'), asked('DenyServiceExternalIPs'))).rejects.toMatchObject(refused)
    const change = (to: readonly string[]) =>
      runAdmission(services, service(...to), { ...asked('DenyServiceExternalIPs'), old: service('192.0.2.1') })
    await expect(change(['192.0.2.1'])).resolves.toBeDefined()
    await expect(change([])).resolves.toBeDefined()
    await expect(change(['192.0.2.2'])).rejects.toMatchObject(refused)
  })

  it('tolerates the taints of nodes with the devices that are asked for', async () => {
    const pod = podOf({
      containers: [{ name: 'main', image: 'i', resources: { requests: { 'example.com/gpu': '1', cpu: '1', 'hugepages-2Mi': '2Mi' } } }],
    })
    const { request } = await runAdmission(pods, pod, asked('ExtendedResourceToleration'))
    expect(request.object).toMatchObject({ spec: { tolerations: [{ key: 'example.com/gpu', operator: 'Exists', effect: 'NoSchedule' }] } })
  })

  it('keeps pods off nodes at most', async () => {
    const pod = (topologyKey: string) =>
      podOf({ affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey }] } } })
    await expect(runAdmission(pods, pod('kubernetes.io/hostname'), asked('LimitPodHardAntiAffinityTopology'))).resolves.toBeDefined()
    await expect(runAdmission(pods, pod('zone'), asked('LimitPodHardAntiAffinityTopology'))).rejects.toMatchObject({
      message: expect.stringContaining('has TopologyKey zone but only key kubernetes.io/hostname is allowed') as string,
    })
  })

  it('keeps pods on lost nodes as long as it is told', async () => {
    const settings = { tolerationSeconds: { notReady: 7, unreachable: 8 } }
    const { request } = await runAdmission(pods, podOf(), { only: ['DefaultTolerationSeconds'], settings })
    expect(request.object).toMatchObject({ spec: { tolerations: [{ tolerationSeconds: 7 }, { tolerationSeconds: 8 }] } })
  })
})
