import { hostileInputs, type HostileInput } from '../test/hostile-inputs.ts'

/** Requests that hurt by what was made before them. */
export interface HostileScene {
  /** Made by these, which are not measured. */
  readonly before: readonly HostileInput[]
  /** A path that answers with 200 when they have taken effect. */
  readonly ready?: string | undefined
  /** Made after that, as `before` is, and not measured either. */
  readonly behind?: readonly HostileInput[] | undefined
  readonly shots: readonly HostileInput[]
  /** What is to be deleted. */
  readonly made: readonly string[]
}

/** A webhook that allows everything, and converts by changing `apiVersion`. */
export interface Hook {
  readonly url: string
  readonly caBundle: string
}

const core = '/api/v1/namespaces/default'
const maps = `${core}/configmaps`
const admission = '/apis/admissionregistration.k8s.io/v1'
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const deployments = '/apis/apps/v1/namespaces/default/deployments'
const [json, merge, jsonPatch, apply] = ['json', 'merge-patch+json', 'json-patch+json', 'apply-patch+yaml'].map(
  (type) => `application/${type}`,
)

const send = (name: string, method: HostileInput['method'], path: string, body?: () => object, contentType = json): HostileInput => ({
  name,
  method,
  path,
  contentType: body === undefined ? undefined : contentType,
  body: body === undefined ? undefined : () => Buffer.from(JSON.stringify(body())),
})
const post = (path: string, body: () => object): HostileInput => send('', 'POST', path, body)
const shown = (name: string, path: string, as: string): HostileInput => ({
  name,
  method: 'GET',
  path,
  headers: { accept: `application/json;as=${as};g=meta.k8s.io;v=v1` },
})

const fields = (count: number): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, 'v']))
const configMap = (name: string, data: object): object => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data })

// As costly as one expression may be, and as what it costs says nothing of: it compares the whole object each time.
const hundred = `[${Array.from({ length: 100 }, (_, at) => at).join(',')}]`
const loops = (body: string): string => `${hundred}.all(a, ${hundred}.all(b, ${body}))`
const costly = loops('[1,2,3,4,5,6,7,8].all(c, a + b + c >= 0)')
const comparing = loops('object == object')
const matching = loops("object.data.text.matches('^(x+x+)+y$') == false")
const proto = "!has(object.__proto__) || object.data['constructor'] == 'y'"

const constraints = {
  resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['configmaps'] }],
}

function policyScene(name: string, spec: object, shots: readonly HostileInput[], binding: object = {}): HostileScene {
  return {
    before: [
      post(`${admission}/validatingadmissionpolicies`, () => ({
        metadata: { name: 'scene' },
        spec: { matchConstraints: constraints, ...spec },
      })),
      post(`${admission}/validatingadmissionpolicybindings`, () => ({
        metadata: { name: 'scene' },
        spec: { policyName: 'scene', validationActions: ['Deny'], ...binding },
      })),
    ],
    shots: shots.map((shot) => ({ ...shot, name: `${name}: ${shot.name}` })),
    made: [`${admission}/validatingadmissionpolicybindings/scene`, `${admission}/validatingadmissionpolicies/scene`, `${maps}/scene`],
  }
}

const small = send('a small object', 'POST', maps, () => configMap('scene', { text: 'x'.repeat(3000), constructor: 'y' }))

function policies(large: HostileInput): readonly HostileScene[] {
  const rules = (...sources: readonly string[]): object => ({ validations: sources.map((expression) => ({ expression })) })
  const binding = { paramRef: { namespace: 'kube-public', selector: {}, parameterNotFoundAction: 'Deny' } }
  const params = { paramKind: { apiVersion: 'v1', kind: 'ConfigMap' }, ...rules(`${hundred}.all(a, params.data.text.size() > a)`) }
  const mutation = (name: string, mutations: readonly object[]): HostileScene => ({
    before: [
      post(`${admission}/mutatingadmissionpolicies`, () => ({
        metadata: { name: 'scene' },
        spec: { matchConstraints: constraints, reinvocationPolicy: 'Never', mutations },
      })),
      post(`${admission}/mutatingadmissionpolicybindings`, () => ({ metadata: { name: 'scene' }, spec: { policyName: 'scene' } })),
    ],
    shots: [small, large].map((shot) => ({ ...shot, name: `${name}: ${shot.name}` })),
    made: [`${admission}/mutatingadmissionpolicybindings/scene`, `${admission}/mutatingadmissionpolicies/scene`, `${maps}/scene`],
  })
  const patch = `[JSONPatch{op: 'add', path: '/metadata/labels', value: {'a': string(${costly})}}]`
  const configuration = `Object{metadata: Object.metadata{labels: {'a': string(${costly})}}}`
  return [
    policyScene('policy of costly expressions', rules(...Array.from({ length: 9 }, () => costly)), [small, large]),
    policyScene('policy of comparisons', rules(comparing, proto), [small, large]),
    policyScene('policy of regular expressions', rules(matching), [small]),
    policyScene('policy of costly conditions', { ...rules('true'), matchConditions: [{ name: 'a', expression: costly }] }, [small, large]),
    policyScene('policy of costly variables', { variables: [{ name: 'a', expression: costly }], ...rules('variables.a') }, [small, large]),
    policyScene('policy of many expressions', rules(...Array.from({ length: 2000 }, (_, at) => `object.data.size() < ${at + 100_000}`)), [
      small,
    ]),
    policyScene('policy of many parameters', params, [small], binding),
    mutation('policy of costly patches', [{ patchType: 'JSONPatch', jsonPatch: { expression: patch } }]),
    mutation('policy of costly configurations', [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression: configuration } }]),
  ]
}

function webhooks({ url, caBundle }: Hook, large: HostileInput): readonly HostileScene[] {
  const webhook = {
    name: 'scene.hostile.io',
    clientConfig: { url, caBundle },
    rules: constraints.resourceRules,
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
    matchConditions: Array.from({ length: 2 }, (_, at) => ({ name: `c${at}`, expression: at === 0 ? comparing : costly })),
  }
  return ['validating', 'mutating'].map((kind) => ({
    before: [post(`${admission}/${kind}webhookconfigurations`, () => ({ metadata: { name: 'scene' }, webhooks: [webhook] }))],
    shots: [small, large].map((shot) => ({ ...shot, name: `${kind} webhook with costly conditions: ${shot.name}` })),
    made: [`${admission}/${kind}webhookconfigurations/scene`, `${maps}/scene`],
  }))
}

function customResource(name: string, group: string, count: number, conversion: object): HostileScene {
  const things = (version: string): string => `/apis/${group}/${version}/namespaces/default/things`
  const spec = {
    type: 'object',
    properties: {
      replicas: { type: 'integer' },
      text: { type: 'string', pattern: '^(a+)+$' },
      items: { type: 'array', items: { type: 'object', properties: { name: { type: 'string' }, size: { type: 'integer', default: 3 } } } },
      map: { type: 'object', additionalProperties: { type: 'string' } },
      any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    },
  }
  const version = (name: string, rest: object): object => ({
    name,
    served: true,
    ...rest,
    subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas' } },
    schema: {
      openAPIV3Schema: { type: 'object', properties: { spec, status: { type: 'object', properties: { replicas: { type: 'integer' } } } } },
    },
  })
  const define = post(definitions, () => ({
    metadata: { name: `things.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
      conversion,
      versions: [version('v1', { storage: true }), version('v2', { storage: false })],
    },
  }))
  const thing = (version: string, name: string, spec: object): object => ({
    apiVersion: `${group}/${version}`,
    kind: 'Thing',
    metadata: { name },
    spec,
  })
  const deep = (): object => JSON.parse(`${'{"a":'.repeat(900)}1${'}'.repeat(900)}`) as object // an object
  const longNumbers = Array.from({ length: count / 2 }, (_, at) => 2 ** 60 + at * 2 ** 12)
  const names = JSON.parse('{"__proto__":{"a":1},"constructor":{"prototype":1}}') as object // an object
  const large = (): object => ({
    replicas: 1,
    items: Array.from({ length: count / 3 }, (_, at) => ({ name: `n${at}` })),
    map: fields(count / 3),
  })
  const shots = [
    send('create in another version', 'POST', things('v2'), () => thing('v2', 'a', large())),
    send('get in the other version', 'GET', `${things('v1')}/a`),
    send('patch in another version', 'PATCH', `${things('v2')}/a`, () => ({ spec: { map: { k0: 'w' } } }), merge),
    send('JSON patch', 'PATCH', `${things('v2')}/a`, () => [{ op: 'remove', path: '/spec/items/1' }], jsonPatch),
    send('apply', 'PATCH', `${things('v2')}/a?fieldManager=m&force=true`, () => thing('v2', 'a', large()), apply),
    send('status', 'PATCH', `${things('v2')}/a/status`, () => ({ status: { replicas: 4 } }), merge),
    send('scale, merged', 'PATCH', `${things('v2')}/a/scale`, () => ({ spec: { replicas: 5 } }), merge),
    send('scale', 'GET', `${things('v2')}/a/scale`),
    shown('in a Table', `${things('v2')}/a`, 'Table'),
    send('list', 'GET', things('v2')),
    shown('list in a Table', things('v2'), 'Table'),
    send('list by a field', 'GET', `${things('v2')}?fieldSelector=metadata.name!=x`),
    send('deep', 'POST', things('v2'), () => thing('v2', 'deep', { any: deep() })),
    send('prototypes', 'POST', things('v2'), () => thing('v2', 'proto', { any: names })),
    send('long numbers', 'POST', things('v2'), () => thing('v2', 'numbers', { any: { list: longNumbers } })),
    send('regular expression', 'POST', things('v2'), () => thing('v2', 'text', { text: `${'a'.repeat(100_000)}!` })),
    send('delete', 'DELETE', `${things('v2')}/a`),
  ].map((shot) => ({ ...shot, name: `custom resource, ${name}: ${shot.name}` }))
  const some = Array.from({ length: 1000 }, (_, at) => post(things('v1'), () => thing('v1', `s${at}`, { replicas: at, map: fields(10) })))
  return {
    before: [define],
    ready: things('v1'),
    behind: some,
    shots,
    made: [`${definitions}/things.${group}`],
  }
}

/** All inputs, in an order that is always the same: who sends them makes their bodies. */
export function everyInput(size: number, scenes: readonly HostileScene[]): readonly HostileInput[] {
  return [...hostileInputs(size), ...scenes.flatMap(({ before, behind = [], shots }) => [...before, ...behind, ...shots])]
}

/** `size` is about how many bytes the large bodies have. */
export function hostileScenes(size: number, hook: Hook): readonly HostileScene[] {
  const count = Math.floor(size / 14)
  const large = send('a large object', 'POST', maps, () => configMap('scene', fields(count)))
  const env = Array.from({ length: Math.floor(size / 40) }, (_, at) => ({ name: `E${at}`, value: 'x' }))
  const labels = { app: 'scene' }
  const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i', env }] } }
  const deployment = (name: string): object => ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: { selector: { matchLabels: labels }, template },
  })
  return [
    ...policies(large),
    ...webhooks(hook, large),
    customResource('converted here', 'here.hostile.io', count, { strategy: 'None' }),
    customResource('converted by a webhook', 'asked.hostile.io', count, {
      strategy: 'Webhook',
      webhook: { clientConfig: { url: hook.url, caBundle: hook.caBundle }, conversionReviewVersions: ['v1'] },
    }),
    {
      before: [post(`${deployments}?fieldManager=m`, () => deployment('scene'))],
      shots: [
        send('scale of a large object: merged', 'PATCH', `${deployments}/scene/scale`, () => ({ spec: { replicas: 2 } }), merge),
        send(
          'scale of a large object: JSON patch',
          'PATCH',
          `${deployments}/scene/scale`,
          () => [{ op: 'replace', path: '/spec/replicas', value: 3 }],
          jsonPatch,
        ),
        send(
          'scale of a large object: applied',
          'PATCH',
          `${deployments}/scene/scale?fieldManager=n&force=true`,
          () => ({ apiVersion: 'autoscaling/v1', kind: 'Scale', metadata: { name: 'scene' }, spec: { replicas: 4 } }),
          apply,
        ),
        send('scale of a large object: put', 'PUT', `${deployments}/scene/scale`, () => ({
          apiVersion: 'autoscaling/v1',
          kind: 'Scale',
          metadata: { name: 'scene', namespace: 'default' },
          spec: { replicas: 5 },
        })),
        send('large object: status', 'PATCH', `${deployments}/scene/status`, () => ({ status: { replicas: 5 } }), merge),
        send('large object: put', 'PUT', `${deployments}/scene?fieldManager=p`, () => deployment('scene')),
        send('large object: label', 'PATCH', `${deployments}/scene`, () => ({ metadata: { labels } }), merge),
        send('large object: get', 'GET', `${deployments}/scene`),
        shown('large object: in a Table', `${deployments}/scene`, 'Table'),
        shown('large object: its metadata', `${deployments}/scene`, 'PartialObjectMetadata'),
        send('large object: watched', 'GET', `${deployments}?watch=1&timeoutSeconds=1&resourceVersion=0`),
        { ...shown('large object: watched in a Table', `${deployments}?watch=1&timeoutSeconds=1&resourceVersion=0`, 'Table') },
        send('large object: deleted, with a finalizer', 'DELETE', `${deployments}/scene?propagationPolicy=Foreground`),
      ],
      made: [`${deployments}/scene`],
    },
    {
      before: Array.from({ length: 10 }, (_, at) => post(maps, () => configMap(`large-${at}`, fields(count)))),
      shots: [
        send('large objects: list', 'GET', maps),
        shown('large objects: list in a Table', maps, 'Table'),
        shown('large objects: list with all in a Table', `${maps}?includeObject=Object`, 'Table'),
        shown('large objects: list of metadata', maps, 'PartialObjectMetadataList'),
        send('large objects: list by labels', 'GET', `${maps}?labelSelector=a!=b`),
        send('large objects: list by names', 'GET', `${maps}?fieldSelector=metadata.name!=x`),
        send('large objects: deleted at once', 'DELETE', `${maps}?fieldSelector=metadata.name!=target`),
      ],
      made: Array.from({ length: 10 }, (_, at) => `${maps}/large-${at}`),
    },
  ]
}
