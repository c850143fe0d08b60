import { CaseBuilder, type Area, type Step } from '../case.ts'

const maps = '/api/v1/namespaces/$ns/configmaps'
const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' } }

const documents = [
  '/api',
  '/apis',
  '/api/v1',
  '/apis/',
  '/api/',
  '/api/v2',
  '/apis/apps',
  '/apis/apps/v1',
  '/apis/apps/v2',
  '/apis/nothing.example.com',
  '/apis/nothing.example.com/v1',
  '/apis/batch',
  '/apis/batch/v1',
  '/apis/autoscaling',
  '/apis/autoscaling/v1',
  '/apis/autoscaling/v2',
  '/apis/policy/v1',
  '/apis/networking.k8s.io/v1',
  '/apis/rbac.authorization.k8s.io/v1',
  '/apis/storage.k8s.io/v1',
  '/apis/admissionregistration.k8s.io/v1',
  '/apis/apiextensions.k8s.io/v1',
  '/apis/apiregistration.k8s.io/v1',
  '/apis/scheduling.k8s.io/v1',
  '/apis/coordination.k8s.io/v1',
  '/apis/node.k8s.io/v1',
  '/apis/discovery.k8s.io/v1',
  '/apis/resource.k8s.io/v1',
  '/apis/flowcontrol.apiserver.k8s.io/v1',
  '/apis/events.k8s.io/v1',
  '/apis/authentication.k8s.io/v1',
  '/apis/authorization.k8s.io/v1',
  '/apis/certificates.k8s.io/v1',
  '/healthz',
  '/livez',
  '/readyz',
  '/healthz/ping',
  '/livez/ping',
  '/readyz/ping',
  '/healthz/nothing',
  '/livez?exclude=etcd',
  '/nothing',
  '/apis/apps/v1/nothing',
  '/api/v1/nothing',
  '/api/v1/nothing/x',
  '/.well-known/nothing',
  '/openapi',
  '/logs/x',
  '/api/v1/namespaces/$ns/nothing',
]

/** Documents about the server itself, and paths that nothing serves. */
function discovery(): Area['cases'][number] {
  const built = new CaseBuilder('discovery')
  for (const path of documents) built.get(path, `get ${path}`)
  const aggregated = { headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json' } }
  const older = { headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json' } }
  return built.get('/api', 'aggregated core', aggregated).get('/api', 'aggregated beta', older).build()
}

/** Methods and paths that do not fit together. */
function paths(): Area['cases'][number] {
  const built = new CaseBuilder('paths').post(maps, map, 'create')
  const asks: readonly (readonly [string, string])[] = [
    ['PUT', maps],
    ['PATCH', maps],
    ['POST', `${maps}/m`],
    ['OPTIONS', maps],
    ['TRACE', maps],
    ['PROPFIND', maps],
    ['HEAD', `${maps}/m`],
    ['DELETE', '/api/v1/namespaces'],
    ['GET', '/api/v1/configmaps/m'],
    ['POST', '/api/v1/configmaps'],
    ['GET', '/api/v1/namespaces/$ns/nodes'],
    ['GET', '/api/v1/namespaces/$ns/nodes/x'],
    ['GET', `${maps}/m/status`],
    ['GET', `${maps}/m/nothing`],
    ['PUT', `${maps}/m/nothing`],
    ['POST', `${maps}/m/status`],
    ['GET', `${maps}/m/`],
    ['GET', `${maps}/`],
    ['GET', '//api/v1'],
    ['GET', '/api//v1'],
    ['GET', '/api/v1/namespaces/$ns/pods/x/status'],
    ['GET', '/api/v1/namespaces/$ns/pods/x/binding'],
    ['GET', '/api/v1/namespaces/$ns/pods/x/eviction'],
    ['GET', '/api/v1/namespaces/$ns/bindings'],
    ['GET', '/apis/authorization.k8s.io/v1/subjectaccessreviews'],
    ['GET', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews/x'],
    ['DELETE', '/apis/authentication.k8s.io/v1/tokenreviews'],
    ['POST', '/api/v1/componentstatuses'],
    ['GET', '/api/v1/namespaces/$ns/pods/x/log'],
    ['GET', '/api/v1/namespaces/$ns/services/x/proxy'],
    ['GET', '/api/v1/nodes/x/proxy/y'],
    ['GET', '/api/v1/namespaces/nothing-$run/configmaps'],
    ['GET', '/api/v1/namespaces/Bad_Namespace/configmaps'],
    ['GET', '/api/v1/watch/namespaces/nothing-$run/configmaps/x?timeoutSeconds=1&resourceVersion=0'],
    ['GET', '/apis/apps/v1/namespaces/$ns/deployments/x/scale'],
    ['GET', '/apis/apps/v1/namespaces/$ns/daemonsets/x/scale'],
    ['PUT', '/api/v1/namespaces/$ns/finalize'],
    ['GET', '/api/v1/namespaces/$ns/status'],
  ]
  for (const [method, path] of asks) {
    const body = method === 'PUT' || method === 'POST' ? map : undefined
    const step: Omit<Step, 'name'> = { method, path, body, ...(method === 'PATCH' ? { patch: 'merge', body: {} } : {}) }
    built.step({ ...step, name: `${method} ${path}` })
  }
  return built.post('/api/v1/namespaces/nothing-$run/configmaps', map, 'in no namespace').build()
}

/** Bodies that are no objects, or not as they should be. */
function bodies(): Area['cases'][number] {
  const dry = `${maps}?dryRun=All`
  const built = new CaseBuilder('bodies').post(maps, map, 'create')
  const typed = (type: string): { headers: Record<string, string> } => ({ headers: { 'content-type': type } })
  const raws: readonly (readonly [string, string])[] = [
    ['empty', ''],
    ['null', 'null'],
    ['array', '[]'],
    ['number', '5'],
    ['text', '"text"'],
    ['open', '{'],
    ['garbage', 'not json'],
    ['trailing', '{"kind":"ConfigMap"} x'],
    ['no kind', '{"metadata":{"name":"a"}}'],
    ['no version', '{"kind":"ConfigMap","metadata":{"name":"a"}}'],
    ['no metadata', '{"kind":"ConfigMap","apiVersion":"v1"}'],
    ['pod', '{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a"}}'],
    ['deployment', '{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"a"}}'],
    ['list', '{"kind":"ConfigMapList","apiVersion":"v1","items":[]}'],
    ['number kind', '{"kind":5,"apiVersion":"v1"}'],
    ['number version', '{"kind":"ConfigMap","apiVersion":1}'],
    ['slashes', '{"kind":"ConfigMap","apiVersion":"a/b/c"}'],
    ['twice', '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","name":"b"},"data":{"x":"1","x":"2"}}'],
    ['case', '{"kind":"ConfigMap","apiVersion":"v1","Metadata":{"name":"a"},"DATA":{"x":"1"}}'],
    ['null data', '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":null}'],
    ['null value', '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"x":null}}'],
    ['yaml as json', 'kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: a\n'],
    ['proto', '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"__proto__":{"x":1}}'],
    ['deep', `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":${'{"a":'.repeat(50)}1${'}'.repeat(50)}}`],
  ]
  for (const [label, raw] of raws) built.step({ method: 'POST', path: dry, raw, name: label })
  for (const mode of ['Strict', 'Warn', 'Ignore', 'Other']) {
    for (const label of ['twice', 'case']) {
      const raw = raws.find(([name]) => name === label)?.[1] ?? ''
      built.step({ method: 'POST', path: `${dry}&fieldValidation=${mode}`, raw, name: `${label} ${mode}` })
    }
  }
  const text = JSON.stringify({ ...map, metadata: { name: 'typed' } })
  for (const type of [
    'text/plain',
    'application/xml',
    'application/json; charset=utf-8',
    'application/yaml',
    'application/json;stream=watch',
    'bad',
    'application/merge-patch+json',
  ])
    built.step({ method: 'POST', path: dry, raw: text, name: `as ${type}`, ...typed(type) })
  built.step({
    method: 'POST',
    path: dry,
    raw: 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: y}\ndata: {a: "1"}\n',
    name: 'yaml',
    ...typed('application/yaml'),
  })
  built.step({
    method: 'POST',
    path: `${dry}&fieldValidation=Strict`,
    raw: 'kind: ConfigMap\napiVersion: v1\nmetadata: {name: y}\ndata: {a: "1", a: "2"}\nmore: 1\n',
    name: 'strict yaml',
    ...typed('application/yaml'),
  })
  built.step({ method: 'POST', path: dry, raw: 'kind: [', name: 'broken yaml', ...typed('application/yaml') })
  for (const type of ['application/json', 'text/plain', 'application/strategic-merge-patch+json; charset=utf-8', ''])
    built.step({ method: 'PATCH', path: `${maps}/m`, raw: '{}', name: `patch as ${type}`, ...(type === '' ? {} : typed(type)) })
  for (const [label, raw] of [
    ['empty', ''],
    ['null', 'null'],
    ['array', '[]'],
    ['garbage', '{'],
    ['number', '5'],
  ] as const) {
    for (const patch of ['json', 'merge', 'strategic', 'apply'] as const)
      built.step({ method: 'PATCH', path: `${maps}/m${patch === 'apply' ? '?fieldManager=x' : ''}`, patch, raw, name: `${patch} ${label}` })
  }
  const operations: readonly (readonly [string, string])[] = [
    ['unknown op', '[{"op":"hop","path":"/data"}]'],
    ['no path', '[{"op":"add","value":1}]'],
    ['missing', '[{"op":"remove","path":"/data/x"}]'],
    ['no value', '[{"op":"add","path":"/data"}]'],
    ['move', '[{"op":"add","path":"/data","value":{"a":"1"}},{"op":"move","from":"/data/a","path":"/data/b"}]'],
    ['copy', '[{"op":"add","path":"/data","value":{"a":"1"}},{"op":"copy","from":"/data/a","path":"/data/b"}]'],
    ['deep add', '[{"op":"add","path":"/data/x/y","value":1}]'],
    ['root', '[{"op":"replace","path":"","value":5}]'],
    ['bad value', '[{"op":"add","path":"/data","value":5}]'],
    ['escape', '[{"op":"add","path":"/metadata/annotations","value":{"a~1b":"x"}}]'],
  ]
  for (const [label, raw] of operations)
    built.step({ method: 'PATCH', path: `${maps}/m?dryRun=All`, patch: 'json', raw, name: `json ${label}` })
  const strategic: readonly (readonly [string, string])[] = [
    ['delete directive', '{"data":{"$patch":"delete"}}'],
    ['replace directive', '{"metadata":{"labels":{"$patch":"replace","a":"b"}}}'],
    ['bad directive', '{"metadata":{"labels":{"$patch":"hop"}}}'],
    ['order', '{"metadata":{"$setElementOrder/finalizers":["a"]}}'],
    ['delete list', '{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}}'],
    ['unknown', '{"bogus":1}'],
    ['type', '{"data":5}'],
  ]
  for (const [label, raw] of strategic)
    built.step({ method: 'PATCH', path: `${maps}/m?dryRun=All`, patch: 'strategic', raw, name: `strategic ${label}` })
  return built.build()
}

/** Queries of reads and writes, right and wrong. */
function queries(): Area['cases'][number] {
  const built = new CaseBuilder('queries').post(maps, map, 'create')
  const gets = [
    'limit=abc',
    'limit=-1',
    'labelSelector=a%3D%3Db',
    'labelSelector=%21%21',
    'labelSelector=a+in+%28b',
    'labelSelector=a%3Dbad+value',
    'labelSelector=a+in+%28b%2Cc%29%2C%21d',
    'labelSelector=a%3E5',
    'labelSelector=Bad%2FKey%2Fx%3D1',
    'fieldSelector=metadata.name',
    'fieldSelector=metadata.name%21%3Dm',
    'fieldSelector=metadata.name%3D%3Dm',
    'fieldSelector=metadata.namespace%3D$ns',
    'fieldSelector=%3D',
    'fieldSelector=a%3Db%3Dc',
    'resourceVersion=abc',
    'resourceVersion=-1',
    'resourceVersion=0',
    'resourceVersionMatch=Exact',
    'resourceVersionMatch=Bad',
    'resourceVersion=0&resourceVersionMatch=Exact',
    'resourceVersion=0&resourceVersionMatch=NotOlderThan',
    'resourceVersion=0&resourceVersionMatch=Bad',
    'continue=garbage',
    'continue=garbage&resourceVersion=5',
    'continue=e30',
    'limit=1&continue=garbage&resourceVersionMatch=Exact',
    'sendInitialEvents=true',
    'timeoutSeconds=abc',
    'pretty=true',
    'unknown=1',
    'watch=maybe&timeoutSeconds=1',
    'watch=1&timeoutSeconds=1&resourceVersion=abc',
    'watch=1&timeoutSeconds=1&sendInitialEvents=true',
    'watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=Exact',
    'watch=1&resourceVersionMatch=NotOlderThan&timeoutSeconds=1',
    'watch=1&sendInitialEvents=false&resourceVersion=5&timeoutSeconds=1',
    'watch=1&labelSelector=%21%21&timeoutSeconds=1',
    'watch=1&fieldSelector=spec.x%3D1&timeoutSeconds=1',
    'watch=1&timeoutSeconds=1&resourceVersion=1',
  ]
  for (const query of gets) built.get(`${maps}?${query}`, query)
  const writes = [
    'dryRun=Some',
    'dryRun=All&dryRun=All',
    'dryRun=',
    `fieldManager=${'x'.repeat(129)}&dryRun=All`,
    'fieldManager=%07&dryRun=All',
    'fieldValidation=Bad&dryRun=All',
    'force=true&dryRun=All',
  ]
  for (const query of writes) {
    built.post(`${maps}?${query}`, { ...map, metadata: { name: 'q' } }, `post ${query.slice(0, 20)}`)
    built.put(`${maps}/m?${query}`, map, `put ${query.slice(0, 20)}`)
    built.patch(`${maps}/m?${query}`, 'merge', {}, `patch ${query.slice(0, 20)}`)
    built.patch(`${maps}/m?${query}`, 'apply', map, `apply ${query.slice(0, 20)}`)
  }
  const deletes = [
    'propagationPolicy=Bad',
    'gracePeriodSeconds=abc',
    'gracePeriodSeconds=-5&dryRun=All',
    'orphanDependents=true&propagationPolicy=Orphan',
    'dryRun=Some',
    'orphanDependents=maybe&dryRun=All',
  ]
  for (const query of deletes) built.delete(`${maps}/m?${query}`, undefined, query)
  const options = [
    { propagationPolicy: 'Bad' },
    { gracePeriodSeconds: 'abc' },
    { kind: 'ConfigMap', apiVersion: 'v1' },
    { kind: 'DeleteOptions', apiVersion: 'v1', dryRun: ['All'] },
    { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', dryRun: ['All'] },
    { kind: 'DeleteOptions', apiVersion: 'apps/v1', dryRun: ['All'] },
    { dryRun: ['Some'] },
    { bogus: 1, dryRun: ['All'] },
    { preconditions: { uid: 5 } },
    { orphanDependents: true, propagationPolicy: 'Orphan' },
    { gracePeriodSeconds: -1, dryRun: ['All'] },
    { ignoreStoreReadErrorWithClusterBreakingPotential: true },
  ]
  for (const body of options) built.delete(`${maps}/m`, body, `delete ${JSON.stringify(body)}`)
  const accepts = [
    'application/xml',
    'text/html',
    '*/*',
    'application/*',
    'application/yaml',
    'application/json;as=Table;v=v1beta1;g=meta.k8s.io',
    'application/json;as=Nothing;v=v1;g=meta.k8s.io',
    'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io',
    'text/plain, application/json;q=0.5',
    'application/json;as=Table;v=v1;g=meta.k8s.io',
  ]
  for (const accept of accepts) {
    built.get(`${maps}/m`, `accept ${accept}`, { headers: { accept } })
    built.get(`${maps}?limit=1`, `list accept ${accept}`, { headers: { accept } })
  }
  for (const include of ['None', 'Object', 'Metadata', 'Bad'])
    built.get(`${maps}?includeObject=${include}`, `include ${include}`, {
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    })
  return built.build()
}

export const protocol: Area = { name: 'protocol', cases: [discovery(), paths(), bodies(), queries()] }
