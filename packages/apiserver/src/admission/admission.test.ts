import { limitranges, namespaces, nodes, type Pod, pods, resourcequotas, type ResourceQuota, secrets } from '@k3s/api/types/core/v1'
import { clusterroles, clusterrolebindings } from '@k3s/api/types/rbac/v1'
import { priorityclasses } from '@k3s/api/types/scheduling/v1'
import { ingressclasses, ingresses } from '@k3s/api/types/networking/v1'
import { persistentvolumeclaims } from '@k3s/api/types/core/v1'
import { storageclasses } from '@k3s/api/types/storage/v1'
import { describe, expect, it } from 'vitest'
import { runAdmission as run } from '../../test/run-admission.ts'
import { objectsOf, stored, type Stored } from '../../test/strategy-runs.ts'
import { RbacAuthorizer } from '../auth/rbac/rbac-authorizer.ts'
import type { UserInfo } from '../auth/auth.ts'
import { builtInAdmission } from './built-in.ts'

const podOf = (spec: Partial<Pod['spec']> = {}): Pod => ({
  metadata: { name: 'web', namespace: 'a' },
  spec: { containers: [{ name: 'main', image: 'i' }], ...spec },
})

describe('the set of plugins', () => {
  it('is upstream’s, in its order', () => {
    const rbac = new RbacAuthorizer(objectsOf())
    const operations = { guaranteedUpdate: () => Promise.reject(new Error('not asked')) }
    const names = builtInAdmission({ authorizer: rbac, rules: rbac, operations }).map(({ name }) => name)
    expect(names).toEqual([
      'NamespaceLifecycle',
      'LimitRanger',
      'ServiceAccount',
      'NodeRestriction',
      'TaintNodesByCondition',
      'PodSecurity',
      'Priority',
      'DefaultTolerationSeconds',
      'DefaultStorageClass',
      'StorageObjectInUseProtection',
      'PersistentVolumeClaimResize',
      'RuntimeClass',
      'CertificateApproval',
      'CertificateSigning',
      'CertificateSubjectRestriction',
      'DefaultIngressClass',
      'PodTopologyLabels',
      expect.stringMatching(/./),
      'ResourceQuota',
    ])
    expect(builtInAdmission({ authorizer: rbac, rules: rbac, operations, disabled: ['Priority'] }).map(({ name }) => name)).not.toContain(
      'Priority',
    )
  })
})

describe('ServiceAccount', () => {
  it('gives pods an account, its pull secrets and a token', async () => {
    const pod = podOf()
    await run(pods, pod, { only: ['ServiceAccount'] })
    expect(pod.spec).toMatchObject({ serviceAccountName: 'default', imagePullSecrets: [{ name: 'pull' }] })
    const [volume] = pod.spec.volumes ?? []
    expect(volume).toEqual({
      name: expect.stringMatching(/^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/) as string,
      projected: {
        defaultMode: 0o644,
        sources: [
          { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
          { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
          { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
        ],
      },
    })
    expect(pod.spec.containers[0]?.volumeMounts).toEqual([
      { name: volume?.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' },
    ])
  })

  it('gives no token where none is wanted', async () => {
    const pod = podOf({ automountServiceAccountToken: false })
    await run(pods, pod, { only: ['ServiceAccount'] })
    expect(pod.spec.volumes).toBeUndefined()
  })

  it('refuses accounts that are missing', async () => {
    await expect(run(pods, podOf({ serviceAccountName: 'none' }), { only: ['ServiceAccount'] })).rejects.toMatchObject({
      code: 403,
      message: 'pods "web" is forbidden: error looking up service account a/none: serviceaccount "none" not found',
    })
  })
})

describe('defaults of pods', () => {
  it('tolerate nodes that are gone for a while', async () => {
    const pod = podOf()
    await run(pods, pod, { only: ['DefaultTolerationSeconds'] })
    expect(pod.spec.tolerations).toEqual(
      ['not-ready', 'unreachable'].map((name) => ({
        key: `node.kubernetes.io/${name}`,
        operator: 'Exists',
        effect: 'NoExecute',
        tolerationSeconds: 300,
      })),
    )
  })

  it('have the priority of their class', async () => {
    const classes = [
      stored(priorityclasses, { metadata: { name: 'high' }, value: 100, preemptionPolicy: 'Never' }),
      stored(priorityclasses, { metadata: { name: 'usual' }, value: 5, globalDefault: true }),
    ]
    const pod = podOf({ priorityClassName: 'high' })
    await run(pods, pod, { only: ['Priority'], stored: classes })
    expect(pod.spec).toMatchObject({ priority: 100, preemptionPolicy: 'Never' })
    const plain = podOf()
    await run(pods, plain, { only: ['Priority'], stored: classes })
    expect(plain.spec).toMatchObject({ priority: 5, priorityClassName: 'usual' })
    await expect(run(pods, podOf({ priorityClassName: 'none' }), { only: ['Priority'] })).rejects.toMatchObject({
      message: 'pods "web" is forbidden: no PriorityClass with name none was found',
    })
  })

  it('fill and check by limit ranges', async () => {
    const limits = stored(limitranges, {
      metadata: { name: 'l', namespace: 'a' },
      spec: { limits: [{ type: 'Container', default: { cpu: '500m' }, defaultRequest: { cpu: '100m' }, max: { cpu: '1' } }] },
    })
    const pod = podOf()
    await run(pods, pod, { only: ['LimitRanger'], stored: [limits] })
    expect(pod.spec.containers[0]?.resources).toEqual({ limits: { cpu: '500m' }, requests: { cpu: '100m' } })
    expect(pod.metadata.annotations).toEqual({
      'kubernetes.io/limit-ranger': 'LimitRanger plugin set: cpu request for container main; cpu limit for container main',
    })
    const big = podOf({ containers: [{ name: 'main', image: 'i', resources: { limits: { cpu: '2' } } }] })
    await expect(run(pods, big, { only: ['LimitRanger'], stored: [limits] })).rejects.toMatchObject({
      code: 403,
      message: 'pods "web" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
    })
  })
})

describe('nodes', () => {
  it('start with a taint', async () => {
    const node = { metadata: { name: 'n1' }, spec: {} }
    await run(nodes, node, { only: ['TaintNodesByCondition'] })
    expect(node.spec).toEqual({ taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }] })
  })

  it('touch only what is theirs', async () => {
    const user: UserInfo = { name: 'system:node:n1', groups: ['system:nodes'] }
    const only = ['NodeRestriction']
    await expect(run(nodes, { metadata: { name: 'n2' }, spec: {} }, { only, user })).rejects.toMatchObject({
      message: 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
    })
    await expect(run(nodes, { metadata: { name: 'n1' }, spec: {} }, { only, user })).resolves.toBeDefined()
    await expect(
      run(nodes, { metadata: { name: 'n1', labels: { 'node-restriction.kubernetes.io/x': 'y' } }, spec: {} }, { only, user }),
    ).rejects.toMatchObject({
      code: 403,
      message: expect.stringContaining('is not allowed to set the following labels: node-restriction.kubernetes.io/x') as string,
    })
    await expect(run(pods, podOf({ nodeName: 'n1' }), { only, user })).rejects.toMatchObject({
      message: expect.stringContaining(
        'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
      ) as string,
    })
  })
})

describe('PodSecurity', () => {
  const labelled = (labels: Record<string, string>): readonly Stored[] => [
    stored(namespaces, {
      metadata: {
        name: 'a',
        labels: Object.fromEntries(Object.entries(labels).map(([mode, level]) => [`pod-security.kubernetes.io/${mode}`, level])),
      },
      spec: {},
    }),
  ]
  const only = ['PodSecurity']
  const restrictedText =
    'allowPrivilegeEscalation != false (container "main" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "main" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "main" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "main" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'

  it('refuses by the restricted level', async () => {
    await expect(run(pods, podOf(), { only, stored: labelled({ enforce: 'restricted' }) })).rejects.toMatchObject({
      code: 403,
      message: `pods "web" is forbidden: violates PodSecurity "restricted:latest": ${restrictedText}`,
    })
    const good = podOf({
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ name: 'main', image: 'i', securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }],
    })
    await expect(run(pods, good, { only, stored: labelled({ enforce: 'restricted' }) })).resolves.toBeDefined()
  })

  it('refuses by the baseline level', async () => {
    const pod = podOf({
      hostNetwork: true,
      volumes: [{ name: 'h', hostPath: { path: '/' } }],
      containers: [{ name: 'main', image: 'i', securityContext: { privileged: true } }],
    })
    await expect(run(pods, pod, { only, stored: labelled({ enforce: 'baseline' }) })).rejects.toMatchObject({
      message:
        'pods "web" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true), hostPath volumes (volume "h"), privileged (container "main" must not set securityContext.privileged=true)',
    })
    await expect(run(pods, podOf(), { only, stored: labelled({ enforce: 'baseline' }) })).resolves.toBeDefined()
  })

  it('warns where that is all that is asked', async () => {
    const { scope } = await run(pods, podOf(), { only, stored: labelled({ warn: 'restricted' }) })
    expect(scope.warnings).toEqual([`would violate PodSecurity "restricted:latest": ${restrictedText}`])
  })

  it('knows only three levels', async () => {
    const bad = { metadata: { name: 'b', labels: { 'pod-security.kubernetes.io/enforce': 'strict' } }, spec: {} }
    await expect(run(namespaces, bad, { only })).rejects.toMatchObject({ code: 422 })
  })
})

describe('ResourceQuota', () => {
  const only = ['ResourceQuota']
  const quota = (hard: Record<string, string>, used: Record<string, string>): ResourceQuota => ({
    metadata: { name: 'q', namespace: 'a' },
    spec: { hard },
    status: { hard, used },
  })

  it('counts objects and amounts', async () => {
    const q = quota({ pods: '2', 'requests.cpu': '1' }, { pods: '1', 'requests.cpu': '200m' })
    const pod = podOf({ containers: [{ name: 'main', image: 'i', resources: { requests: { cpu: '300m' } } }] })
    await run(pods, pod, { only, stored: [stored(resourcequotas, q)], quota: q })
    expect(q.status?.used).toEqual({ pods: '2', 'requests.cpu': '500m' })
  })

  it('refuses what is too much', async () => {
    const q = quota({ pods: '1', secrets: '1' }, { pods: '1', secrets: '1' })
    await expect(run(pods, podOf(), { only, stored: [stored(resourcequotas, q)], quota: q })).rejects.toMatchObject({
      code: 403,
      message: 'pods "web" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1',
    })
    await expect(
      run(secrets, { metadata: { name: 's', namespace: 'a' } }, { only, stored: [stored(resourcequotas, q)], quota: q }),
    ).rejects.toMatchObject({ code: 403 })
  })

  it('demands that pods say what they need', async () => {
    const q = quota({ 'limits.memory': '1Gi' }, { 'limits.memory': '0' })
    await expect(run(pods, podOf(), { only, stored: [stored(resourcequotas, q)], quota: q })).rejects.toMatchObject({
      message: 'pods "web" is forbidden: failed quota: q: must specify limits.memory for: main',
    })
  })
})

describe('storage and ingress', () => {
  it('take the default class', async () => {
    const marked = { 'storageclass.kubernetes.io/is-default-class': 'true' }
    const claim = { metadata: { name: 'c', namespace: 'a' }, spec: { storageClassName: undefined as string | undefined } }
    await run(persistentvolumeclaims, claim, {
      only: ['DefaultStorageClass', 'StorageObjectInUseProtection'],
      stored: [stored(storageclasses, { metadata: { name: 'local-path', annotations: marked }, provisioner: 'p' })],
    })
    expect(claim).toMatchObject({ spec: { storageClassName: 'local-path' }, metadata: { finalizers: ['kubernetes.io/pvc-protection'] } })
    const ingress = { metadata: { name: 'i', namespace: 'a' }, spec: { ingressClassName: undefined as string | undefined } }
    await run(ingresses, ingress, {
      only: ['DefaultIngressClass'],
      stored: [
        stored(ingressclasses, {
          metadata: { name: 'traefik', annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } },
          spec: {},
        }),
      ],
    })
    expect(ingress.spec.ingressClassName).toBe('traefik')
  })
})

describe('escalation of rights', () => {
  const apiGroup = 'rbac.authorization.k8s.io'
  const held: readonly Stored[] = [
    stored(clusterroles, { metadata: { name: 'reader' }, rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }] }),
    stored(clusterroles, { metadata: { name: 'owner' }, rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }] }),
    stored(clusterrolebindings, {
      metadata: { name: 'b' },
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'reader' },
      subjects: [{ kind: 'User', name: 'jane', apiGroup }],
    }),
  ]

  it('is refused to those who write roles', async () => {
    const role = (verb: string) => ({ metadata: { name: 'new' }, rules: [{ verbs: [verb], apiGroups: [''], resources: ['pods'] }] })
    await expect(run(clusterroles, role('get'), { stored: held })).resolves.toBeDefined()
    await expect(run(clusterroles, role('delete'), { stored: held })).rejects.toMatchObject({
      code: 403,
      message: `clusterroles.rbac.authorization.k8s.io "new" is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}`,
    })
    const masters = { name: 'admin', groups: ['system:masters'] }
    await expect(run(clusterroles, role('delete'), { stored: held, user: masters })).resolves.toBeDefined()
  })

  it('is refused to those who bind roles', async () => {
    const binding = (name: string) => ({ metadata: { name: 'new' }, roleRef: { apiGroup, kind: 'ClusterRole', name }, subjects: [] })
    await expect(run(clusterrolebindings, binding('reader'), { stored: held })).resolves.toBeDefined()
    await expect(run(clusterrolebindings, binding('owner'), { stored: held })).rejects.toMatchObject({ code: 403 })
  })
})
