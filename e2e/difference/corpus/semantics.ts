/**
 * What the rules of each kind make of objects that are wrong or special in one way.
 * Longer than files here are: it is data, one block a kind, which nobody reads from end to end.
 */
import { CaseBuilder, type Area, type Case, type Json, type JsonObject } from '../case.ts'

const container: JsonObject = { name: 'c', image: 'registry.example/app:1' }

/** Objects of one kind, each wrong or special in one way, by what is added to a spec that is right. */
function variants(name: string, path: string, base: JsonObject, specs: Readonly<Record<string, JsonObject>>, at = 'spec'): Case {
  const built = new CaseBuilder(name)
  const inner = (base[at] ?? {}) as JsonObject
  for (const [label, spec] of Object.entries(specs))
    built.post(`${path}?dryRun=All`, { ...base, metadata: { name: 'v' }, [at]: { ...inner, ...spec } }, label)
  return built.build()
}

const withContainer = (more: JsonObject): JsonObject => ({ containers: [{ ...container, ...more }] })

const pods = variants(
  'variants-pods',
  '/api/v1/namespaces/$ns/pods',
  { apiVersion: 'v1', kind: 'Pod', spec: { containers: [container] } },
  {
    plain: {},
    latest: withContainer({ image: 'app' }),
    tagged: withContainer({ image: 'app:latest' }),
    'no containers': { containers: [] },
    'two of a name': { containers: [container, container] },
    'bad container name': withContainer({ name: 'Bad' }),
    'no image': withContainer({ image: '' }),
    'spaced image': withContainer({ image: ' a ' }),
    'bad policy': withContainer({ imagePullPolicy: 'Sometimes' }),
    'bad restart': { restartPolicy: 'Sometimes' },
    'bad dns': { dnsPolicy: 'Other' },
    'dns none': { dnsPolicy: 'None' },
    ports: withContainer({ ports: [{ containerPort: 80 }, { containerPort: 80, protocol: 'UDP', name: 'x' }] }),
    'bad ports': withContainer({
      ports: [{ containerPort: 0 }, { containerPort: 70000, protocol: 'ICMP', name: 'Bad_Name_Too_Long_For_Port' }],
    }),
    'same host ports': {
      containers: [
        {
          ...container,
          ports: [
            { containerPort: 1, hostPort: 9 },
            { containerPort: 2, hostPort: 9 },
          ],
        },
      ],
    },
    resources: withContainer({ resources: { limits: { cpu: '1', memory: '1Gi' } } }),
    'requests above limits': withContainer({ resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } }),
    'negative request': withContainer({ resources: { requests: { cpu: '-1' } } }),
    'bad resource': withContainer({ resources: { requests: { 'bad name': '1' } } }),
    'bad quantity': withContainer({ resources: { requests: { cpu: 'much' } } }),
    'canonical quantity': withContainer({ resources: { requests: { cpu: '1000m', memory: '1024Mi' } } }),
    env: withContainer({
      env: [
        { name: 'A', value: 'b' },
        { name: 'B', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      ],
    }),
    'bad env': withContainer({
      env: [
        { name: '' },
        { name: 'a=b' },
        { name: 'X', value: 'a', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'Y', valueFrom: { fieldRef: { fieldPath: 'spec.nothing' } } },
      ],
    }),
    'env from': withContainer({ envFrom: [{ configMapRef: { name: 'a' } }, { prefix: '1', secretRef: { name: '' } }] }),
    probe: withContainer({ livenessProbe: { httpGet: { port: 80 } }, readinessProbe: { tcpSocket: { port: 'http' } } }),
    'bad probe': withContainer({ livenessProbe: {}, readinessProbe: { httpGet: { port: 0 }, periodSeconds: -1, successThreshold: 0 } }),
    'readiness without': withContainer({ livenessProbe: { exec: { command: ['a'] }, successThreshold: 2 } }),
    lifecycle: withContainer({ lifecycle: { postStart: { exec: { command: [] } }, preStop: { sleep: { seconds: -1 } } } }),
    volumes: {
      volumes: [
        { name: 'a', emptyDir: {} },
        { name: 'b', configMap: { name: 'x' } },
        { name: 'c', hostPath: { path: '/x' } },
        { name: 'd', secret: { secretName: 's' } },
        { name: 'e' },
      ],
    },
    'bad volumes': {
      volumes: [
        { name: 'Bad' },
        { name: 'x', emptyDir: {}, secret: { secretName: 's' } },
        { name: 'x', hostPath: { path: '' } },
        { name: 'y', hostPath: { path: '../x', type: 'Bad' } },
      ],
    },
    projected: {
      volumes: [
        {
          name: 'p',
          projected: {
            sources: [
              { serviceAccountToken: { path: 'token' } },
              { downwardAPI: { items: [{ path: 'l', fieldRef: { fieldPath: 'metadata.labels' } }] } },
            ],
          },
        },
      ],
    },
    'bad projected': {
      volumes: [{ name: 'p', projected: { sources: [{ serviceAccountToken: { path: '', expirationSeconds: 5 } }, {}] } }],
    },
    mounts: {
      volumes: [{ name: 'a', emptyDir: {} }],
      containers: [
        {
          ...container,
          volumeMounts: [
            { name: 'a', mountPath: '/a' },
            { name: 'b', mountPath: '/a' },
            { name: 'a', mountPath: '', subPath: '../x' },
          ],
        },
      ],
    },
    tolerations: {
      tolerations: [
        { key: 'a', operator: 'Exists', value: 'x' },
        { operator: 'Equal' },
        { key: 'b', effect: 'Bad' },
        { key: 'c', tolerationSeconds: 5, effect: 'NoSchedule' },
      ],
    },
    affinity: {
      affinity: {
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [] } },
        podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: '' }] },
      },
    },
    'preferred affinity': {
      affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 0, preference: {} }] } },
    },
    selector: { nodeSelector: { 'bad key': 'x' } },
    spread: {
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { a: 'b' } } },
      ],
    },
    security: {
      securityContext: {
        runAsUser: -1,
        runAsNonRoot: true,
        fsGroup: 5,
        sysctls: [
          { name: 'Bad', value: '' },
          { name: 'a', value: '1' },
          { name: 'a', value: '1' },
        ],
        seccompProfile: { type: 'Bad' },
      },
    },
    'container security': withContainer({
      securityContext: { privileged: true, allowPrivilegeEscalation: false, capabilities: { add: ['X'] }, runAsUser: -1, procMount: 'Bad' },
    }),
    'host network': { hostNetwork: true, containers: [{ ...container, ports: [{ containerPort: 80, hostPort: 81 }] }] },
    'share and host': { hostPID: true, shareProcessNamespace: true },
    'host users': { hostUsers: false, hostNetwork: true },
    aliases: { hostAliases: [{ ip: 'x', hostnames: ['Bad_'] }] },
    hostname: { hostname: 'Bad_', subdomain: 'bad.', setHostnameAsFQDN: true },
    'dns config': {
      dnsConfig: { nameservers: ['x', '1.1.1.1', '1.1.1.2', '1.1.1.3'], searches: ['bad_', '.'], options: [{ value: 'x' }] },
    },
    init: {
      initContainers: [
        { name: 'c', image: 'i' },
        { name: 'd', image: 'i', restartPolicy: 'Always' },
        { name: 'e', image: 'i', restartPolicy: 'Never', livenessProbe: {} },
      ],
    },
    ephemeral: { ephemeralContainers: [{ name: 'e', image: 'i' }] },
    gates: { schedulingGates: [{ name: 'a' }, { name: 'a' }, { name: 'Bad Gate' }] },
    'gates and node': { schedulingGates: [{ name: 'a' }], nodeName: 'n' },
    priority: { priorityClassName: 'nothing' },
    'system priority': { priorityClassName: 'system-node-critical' },
    'own priority': { priority: 5 },
    runtime: { runtimeClassName: 'nothing' },
    account: { serviceAccountName: 'nothing' },
    deadline: { activeDeadlineSeconds: 0 },
    grace: { terminationGracePeriodSeconds: -1 },
    readiness: { readinessGates: [{ conditionType: 'bad type' }] },
    claims: { resourceClaims: [{ name: 'a' }, { name: 'a', resourceClaimName: 'x', resourceClaimTemplateName: 'y' }] },
    os: { os: { name: 'plan9' } },
    'windows fields': { os: { name: 'windows' }, hostPID: true, securityContext: { runAsUser: 1 } },
    overhead: { overhead: { cpu: '1' } },
    'pod resources': { resources: { requests: { cpu: '1' }, limits: { cpu: '2' } } },
  },
)

const services = variants(
  'variants-services',
  '/api/v1/namespaces/$ns/services',
  { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 80 }] } },
  {
    plain: {},
    'no ports': { ports: [] },
    headless: { clusterIP: 'None' },
    'headless without ports': { clusterIP: 'None', ports: [] },
    external: { type: 'ExternalName', externalName: 'example.com' },
    'external without name': { type: 'ExternalName' },
    'external with ip': { type: 'ExternalName', externalName: 'example.com', clusterIP: '10.43.0.77' },
    'bad external': { type: 'ExternalName', externalName: 'Bad_' },
    'node port': { type: 'NodePort' },
    'own node port': { type: 'NodePort', ports: [{ port: 80, nodePort: 31999 }] },
    'bad node port': { type: 'NodePort', ports: [{ port: 80, nodePort: 99 }] },
    'node port of cluster ip': { ports: [{ port: 80, nodePort: 31998 }] },
    balancer: { type: 'LoadBalancer' },
    'balancer class': { type: 'LoadBalancer', loadBalancerClass: 'example.com/lb', allocateLoadBalancerNodePorts: false },
    'local traffic': { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
    'local traffic of cluster ip': { externalTrafficPolicy: 'Local' },
    'bad type': { type: 'Other' },
    'two unnamed ports': { ports: [{ port: 80 }, { port: 81 }] },
    'two of a name': {
      ports: [
        { name: 'a', port: 80 },
        { name: 'a', port: 81 },
      ],
    },
    'two of a port': {
      ports: [
        { name: 'a', port: 80 },
        { name: 'b', port: 80 },
      ],
    },
    'bad port': { ports: [{ port: 0, targetPort: 'Bad_Port', protocol: 'X' }] },
    affinity: { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 0 } } },
    'bad affinity': { sessionAffinity: 'Other' },
    'config without affinity': { sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } },
    'outside ip': { clusterIP: '192.0.2.1' },
    'bad ip': { clusterIP: 'x' },
    'external ips': { externalIPs: ['x', '127.0.0.1', '192.0.2.1'] },
    'source ranges': { loadBalancerSourceRanges: ['10.0.0.0/8'] },
    'bad source ranges': { type: 'LoadBalancer', loadBalancerSourceRanges: ['x'] },
    'dual stack': { ipFamilyPolicy: 'RequireDualStack' },
    'prefer dual': { ipFamilyPolicy: 'PreferDualStack' },
    six: { ipFamilies: ['IPv6'] },
    'bad family': { ipFamilies: ['IPv5'] },
    selector: { selector: { 'bad key': 'x' } },
    'internal traffic': { internalTrafficPolicy: 'Other' },
    distribution: { trafficDistribution: 'PreferClose' },
    'bad distribution': { trafficDistribution: 'Other' },
    'health port': { healthCheckNodePort: 31997 },
  },
)

const template: JsonObject = { metadata: { labels: { a: 'b' } }, spec: { containers: [container] } }
const selector: JsonObject = { matchLabels: { a: 'b' } }
const deployments = variants(
  'variants-deployments',
  '/apis/apps/v1/namespaces/$ns/deployments',
  { apiVersion: 'apps/v1', kind: 'Deployment', spec: { selector, template } },
  {
    recreate: { strategy: { type: 'Recreate' } },
    'recreate with rolling': { strategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } },
    'bad strategy': { strategy: { type: 'Other' } },
    zeros: { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } },
    'zero percent': { strategy: { rollingUpdate: { maxSurge: '0%', maxUnavailable: '101%' } } },
    'bad percent': { strategy: { rollingUpdate: { maxSurge: 'x', maxUnavailable: -1 } } },
    negative: { replicas: -1, minReadySeconds: -1, revisionHistoryLimit: -1, progressDeadlineSeconds: 0 },
    deadline: { minReadySeconds: 700 },
    'no selector': { selector: {} },
    'bad selector': {
      selector: {
        matchExpressions: [
          { key: 'a', operator: 'In' },
          { key: 'b', operator: 'Other' },
          { key: 'c', operator: 'Exists', values: ['x'] },
        ],
      },
    },
    'never restart': { template: { ...template, spec: { containers: [container], restartPolicy: 'Never' } } },
    'deadline in template': { template: { ...template, spec: { containers: [container], activeDeadlineSeconds: 5 } } },
    paused: { paused: true, replicas: 0 },
  },
)

const jobs = variants(
  'variants-jobs',
  '/apis/batch/v1/namespaces/$ns/jobs',
  { apiVersion: 'batch/v1', kind: 'Job', spec: { template: { spec: { containers: [container], restartPolicy: 'Never' } } } },
  {
    plain: {},
    indexed: { completionMode: 'Indexed', completions: 3, parallelism: 2 },
    'indexed without completions': { completionMode: 'Indexed' },
    'bad mode': { completionMode: 'Other' },
    negative: { completions: -1, parallelism: -1, backoffLimit: -1, activeDeadlineSeconds: -1, ttlSecondsAfterFinished: -1 },
    'always restart': { template: { spec: { containers: [container], restartPolicy: 'Always' } } },
    'own selector': { selector: { matchLabels: { x: 'y' } } },
    'manual selector': {
      manualSelector: true,
      selector: { matchLabels: { x: 'y' } },
      template: { metadata: { labels: { x: 'y' } }, spec: { containers: [container], restartPolicy: 'Never' } },
    },
    'manual without selector': { manualSelector: true },
    'failure policy': { podFailurePolicy: { rules: [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [1, 2] } }] } },
    'bad failure policy': {
      podFailurePolicy: { rules: [{ action: 'Other', onExitCodes: { operator: 'In', values: [2, 1, 1] } }, { action: 'Ignore' }] },
    },
    'success policy': {
      completionMode: 'Indexed',
      completions: 3,
      parallelism: 2,
      successPolicy: { rules: [{ succeededIndexes: '0-1', succeededCount: 1 }] },
    },
    'bad success policy': { successPolicy: { rules: [] } },
    'per index': { completionMode: 'Indexed', completions: 2, backoffLimitPerIndex: 1, maxFailedIndexes: 1 },
    'per index of another mode': { backoffLimitPerIndex: 1 },
    'managed by': { managedBy: 'Bad' },
    replacement: { podReplacementPolicy: 'Other' },
    suspended: { suspend: true },
  },
)

const cronJobs = variants(
  'variants-cronjobs',
  '/apis/batch/v1/namespaces/$ns/cronjobs',
  {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    spec: { schedule: '@hourly', jobTemplate: { spec: { template: { spec: { containers: [container], restartPolicy: 'Never' } } } } },
  },
  {
    plain: {},
    'bad schedule': { schedule: 'x' },
    'empty schedule': { schedule: '' },
    'six fields': { schedule: '* * * * * *' },
    'too large': { schedule: '61 * * * *' },
    zone: { timeZone: 'Europe/Berlin' },
    'bad zone': { timeZone: 'Nowhere/City' },
    'empty zone': { timeZone: '' },
    'zone in schedule': { schedule: 'TZ=UTC 0 * * * *' },
    'bad concurrency': { concurrencyPolicy: 'Other' },
    negative: { startingDeadlineSeconds: -1, successfulJobsHistoryLimit: -1, failedJobsHistoryLimit: -1 },
    'own selector': {
      jobTemplate: {
        spec: { selector: { matchLabels: { a: 'b' } }, template: { spec: { containers: [container], restartPolicy: 'Never' } } },
      },
    },
  },
)

const access: Json = { apiGroups: [''], resources: ['pods'], verbs: ['get'] }
const rbac = ((): Case => {
  const roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/$ns/roles'
  const bindings = '/apis/rbac.authorization.k8s.io/v1/namespaces/$ns/rolebindings'
  const jane = { as: { user: 'jane-$run' } }
  const review = (attributes: JsonObject, user = 'jane-$run'): JsonObject => ({
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: { user, ...attributes },
  })
  const reviews = '/apis/authorization.k8s.io/v1/subjectaccessreviews'
  return (
    new CaseBuilder('rbac')
      .get('/api/v1/namespaces/$ns/pods', 'before', jane)
      .post(roles, { metadata: { name: 'reader' }, rules: [access] }, 'role')
      .post(
        bindings,
        {
          metadata: { name: 'jane' },
          subjects: [{ kind: 'User', name: 'jane-$run' }],
          roleRef: { kind: 'Role', name: 'reader', apiGroup: 'rbac.authorization.k8s.io' },
        },
        'binding',
      )
      // The original hears of a binding some time after it was written.
      .get('/api/v1/namespaces/$ns/pods?watch=1&timeoutSeconds=1', 'a second later')
      .get('/api/v1/namespaces/$ns/pods/x', 'may get', jane)
      .get('/api/v1/namespaces/$ns/pods', 'may not list', jane)
      .get('/api/v1/namespaces/$ns/pods/x/log', 'may not log', jane)
      .get('/api/v1/nodes', 'may not nodes', jane)
      .get('/apis/apps/v1/namespaces/$ns/deployments/x/scale', 'may not scale', jane)
      .get('/metrics', 'may not metrics', jane)
      .get('/version', 'may version', jane)
      .get('/api', 'may discovery', jane)
      .post(
        roles,
        { metadata: { name: 'more' }, rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['*'] }] },
        'may not create roles',
        jane,
      )
      .post('/api/v1/namespaces/$ns/pods', { metadata: { name: 'p' } }, 'may not create', jane)
      .delete('/api/v1/namespaces/$ns/pods/x', undefined, 'may not delete', jane)
      .post(reviews, review({ resourceAttributes: { namespace: '$ns', verb: 'get', resource: 'pods' } }), 'review yes')
      .post(reviews, review({ resourceAttributes: { namespace: '$ns', verb: 'list', resource: 'pods' } }), 'review no')
      .post(reviews, review({ nonResourceAttributes: { path: '/version', verb: 'get' } }), 'review path')
      .post(reviews, review({}), 'review nothing')
      .post(reviews, review({ resourceAttributes: { verb: 'get' }, nonResourceAttributes: { path: '/x' } }), 'review both')
      .post(
        reviews,
        { kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', spec: { resourceAttributes: { verb: 'get' } } },
        'review nobody',
      )
      .post(
        '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
        { spec: { resourceAttributes: { namespace: '$ns', verb: 'get', resource: 'pods' } } },
        'self review',
        jane,
      )
      .post(
        '/apis/authorization.k8s.io/v1/namespaces/$ns/localsubjectaccessreviews',
        {
          metadata: { namespace: '$ns' },
          spec: { user: 'jane-$run', resourceAttributes: { namespace: '$ns', verb: 'get', resource: 'pods' } },
        },
        'local review',
      )
      .post(
        '/apis/authorization.k8s.io/v1/namespaces/$ns/localsubjectaccessreviews',
        { spec: { user: 'jane-$run', resourceAttributes: { namespace: 'other', verb: 'get', resource: 'pods' } } },
        'local review elsewhere',
      )
      .post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {}, 'who am I', jane)
      .post('/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: 'nonsense' } }, 'token review')
      .post('/apis/authentication.k8s.io/v1/tokenreviews', { spec: {} }, 'token review of nothing')
      .patch(`${bindings}/jane`, 'merge', { roleRef: { name: 'other' } }, 'role of a binding')
      .post(
        bindings,
        {
          metadata: { name: 'bad' },
          subjects: [
            { kind: 'User', name: '' },
            { kind: 'Other', name: 'x' },
            { kind: 'ServiceAccount', name: 'Bad_' },
          ],
          roleRef: { kind: 'Other', name: '' },
        },
        'bad binding',
      )
      .post(
        roles,
        {
          metadata: { name: 'bad' },
          rules: [{ verbs: [] }, { verbs: ['get'], nonResourceURLs: ['/x'] }, { verbs: ['get'], apiGroups: [''] }],
        },
        'bad role',
      )
      .build()
  )
})()

const apply = ((): Case => {
  const at = '/apis/apps/v1/namespaces/$ns/deployments/d'
  const head: JsonObject = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', labels: { app: 'x' } } }
  const spec = (more: JsonObject, env: Json = []): JsonObject => ({
    selector,
    template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ ...container, env }] } },
    ...more,
  })
  return new CaseBuilder('apply')
    .patch(`${at}?fieldManager=one`, 'apply', { ...head, spec: spec({ replicas: 2 }, [{ name: 'A', value: '1' }]) }, 'one creates')
    .patch(`${at}?fieldManager=one`, 'apply', { ...head, spec: spec({ replicas: 2 }, [{ name: 'A', value: '1' }]) }, 'one again')
    .patch(`${at}?fieldManager=two`, 'apply', { ...head, spec: { replicas: 3 } }, 'two conflicts')
    .patch(`${at}?fieldManager=two&force=true`, 'apply', { ...head, spec: { replicas: 3 } }, 'two forces')
    .patch(`${at}?fieldManager=one`, 'apply', { ...head, spec: spec({}, [{ name: 'B', value: '2' }]) }, 'one gives up')
    .patch(`${at}?fieldManager=two`, 'apply', { ...head, metadata: { name: 'd' } }, 'two gives up')
    .patch(
      `${at}?fieldManager=three`,
      'apply',
      { ...head, spec: { template: { spec: { containers: [{ name: 'second', image: 'i' }] } } } },
      'three adds a container',
    )
    .patch(`${at}?fieldManager=three`, 'apply', { ...head, spec: { template: { spec: { containers: [{ image: 'i' }] } } } }, 'no key')
    .patch(`${at}?fieldManager=three`, 'apply', { ...head, spec: { replicas: 'many' } }, 'wrong type')
    .patch(`${at}?fieldManager=three`, 'apply', { ...head, apiVersion: 'apps/v2' }, 'wrong version')
    .patch(`${at}?fieldManager=three`, 'apply', { ...head, metadata: { name: 'other' } }, 'wrong name')
    .patch(`${at}?fieldManager=three`, 'apply', { ...head, metadata: { name: 'd', managedFields: [] } }, 'managed fields')
    .patch(`${at}?fieldManager=three`, 'apply', { ...head, metadata: { name: 'd', resourceVersion: '1' } }, 'old version')
    .patch(`${at}?fieldManager=three`, 'apply', { ...head, metadata: { name: 'd', uid: 'x' } }, 'other uid')
    .patch(at, 'apply', head, 'nobody')
    .patch(at, 'merge', { spec: { replicas: 5 } }, 'updated by another')
    .patch(`${at}?fieldManager=one`, 'apply', { ...head, spec: spec({ replicas: 5 }) }, 'agreed')
    .patch(`${at}/status?fieldManager=one`, 'apply', { ...head, status: { observedGeneration: 1 } }, 'applied status')
    .patch(
      `${at}/scale?fieldManager=one&force=true`,
      'apply',
      { apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'd' }, spec: { replicas: 1 } },
      'applied scale',
    )
    .patch(
      at,
      'strategic',
      {
        spec: {
          template: {
            spec: {
              containers: [
                { name: 'second', $patch: 'delete' },
                { name: 'c', env: [{ name: 'C', value: '3' }] },
              ],
            },
          },
        },
      },
      'strategic',
    )
    .patch(at, 'strategic', { spec: { template: { spec: { containers: [{ image: 'x' }] } } } }, 'strategic without key')
    .patch(at, 'json', [{ op: 'replace', path: '/spec/template/spec/containers/0/image', value: 'new' }], 'json')
    .patch(at, 'json', [{ op: 'replace', path: '/spec/template/spec/containers/7/image', value: 'new' }], 'json nowhere')
    .patch(at, 'merge', { metadata: { managedFields: [{}] } }, 'reset owners')
    .build()
})()

const podActions = ((): Case => {
  const pod = '/api/v1/namespaces/$ns/pods/p'
  return new CaseBuilder('pod-actions')
    .post('/api/v1/namespaces/$ns/pods', { metadata: { name: 'p', labels: { a: 'b' } }, spec: { containers: [container] } }, 'create')
    .post(`${pod}/binding`, { target: { kind: 'Node', name: '' } }, 'bind to nothing')
    .post(`${pod}/binding`, { target: { kind: 'Pod', name: 'x' } }, 'bind to a pod')
    .post(`${pod}/binding`, { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n' } }, 'bind')
    .post(`${pod}/binding`, { metadata: { name: 'p' }, target: { kind: 'Node', name: 'm' } }, 'bind again')
    .get(pod, 'bound')
    .patch(pod, 'merge', { spec: { nodeName: 'm' } }, 'move')
    .patch(pod, 'strategic', { spec: { containers: [{ name: 'c', image: 'other' }] } }, 'image')
    .patch(pod, 'strategic', { spec: { containers: [{ name: 'c', command: ['x'] }] } }, 'command')
    .patch(pod, 'merge', { spec: { tolerations: [{ key: 'x', operator: 'Exists' }] } }, 'tolerations away')
    .patch(`${pod}/ephemeralcontainers`, 'strategic', { spec: { ephemeralContainers: [{ name: 'debug', image: 'busybox' }] } }, 'debug')
    .patch(`${pod}/ephemeralcontainers`, 'strategic', { spec: { ephemeralContainers: [{ name: 'c', image: 'busybox' }] } }, 'debug twice')
    .patch(`${pod}/resize`, 'strategic', { spec: { containers: [{ name: 'c', resources: { requests: { cpu: '100m' } } }] } }, 'resize')
    .patch(
      `${pod}/status`,
      'strategic',
      { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], podIPs: [{ ip: '10.42.0.9' }] } },
      'status',
    )
    .get('/api/v1/namespaces/$ns/pods?fieldSelector=status.phase%3DRunning,spec.nodeName%3Dn', 'selected')
    .get('/api/v1/namespaces/$ns/pods?fieldSelector=status.podIP%3D10.42.0.9', 'selected by address')
    .get('/api/v1/namespaces/$ns/pods', 'table', { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } })
    .post(`${pod}/eviction?dryRun=All`, { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } }, 'dry eviction')
    .post(
      '/apis/policy/v1/namespaces/$ns/poddisruptionbudgets',
      { metadata: { name: 'b' }, spec: { minAvailable: 1, selector: { matchLabels: { a: 'b' } } } },
      'budget',
    )
    .post(`${pod}/eviction`, { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } }, 'refused eviction')
    .post(`${pod}/eviction`, { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'other' } }, 'eviction of another')
    .delete('/apis/policy/v1/namespaces/$ns/poddisruptionbudgets/b', undefined, 'no budget')
    .post(`${pod}/eviction`, { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p' } }, 'eviction')
    .get(pod, 'evicted')
    .post('/api/v1/namespaces/$ns/serviceaccounts/default/token', { spec: { expirationSeconds: 60 } }, 'short token')
    .post('/api/v1/namespaces/$ns/serviceaccounts/nothing/token', { spec: {} }, 'token of nobody')
    .build()
})()

const quotas = ((): Case =>
  new CaseBuilder('quotas')
    .post(
      '/api/v1/namespaces/$ns/limitranges',
      {
        metadata: { name: 'l' },
        spec: {
          limits: [
            { type: 'Container', max: { cpu: '1' }, min: { cpu: '100m' }, default: { cpu: '500m' }, defaultRequest: { cpu: '200m' } },
          ],
        },
      },
      'range',
    )
    .post('/api/v1/namespaces/$ns/pods', { metadata: { name: 'defaulted' }, spec: { containers: [container] } }, 'defaulted')
    .post(
      '/api/v1/namespaces/$ns/pods',
      { metadata: { name: 'large' }, spec: { containers: [{ ...container, resources: { limits: { cpu: '2' } } }] } },
      'too large',
    )
    .post(
      '/api/v1/namespaces/$ns/pods',
      { metadata: { name: 'small' }, spec: { containers: [{ ...container, resources: { requests: { cpu: '1m' } } }] } },
      'too small',
    )
    .post(
      '/api/v1/namespaces/$ns/limitranges',
      { metadata: { name: 'bad' }, spec: { limits: [{ type: 'Container', max: { cpu: '1' }, min: { cpu: '2' } }] } },
      'bad range',
    )
    .build())()

export const semantics: Area = { name: 'semantics', cases: [pods, services, deployments, jobs, cronJobs, rbac, apply, podActions, quotas] }
