/** Requests that are made to hurt, each by what it attacks. Deterministic. */
import { gzipSync } from 'node:zlib'

export interface HostileInput {
  /** What is attacked, and how. */
  readonly name: string
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly contentType?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Made when it is sent: most are large. */
  readonly body?: (() => Buffer) | undefined
}

const maps = '/api/v1/namespaces/default/configmaps'
const pods = '/api/v1/namespaces/default/pods'
const target = `${maps}/target`
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const json = 'application/json'
const yaml = 'application/yaml'
const protobuf = 'application/vnd.kubernetes.protobuf'
const jsonPatch = 'application/json-patch+json'
const mergePatch = 'application/merge-patch+json'
const strategicPatch = 'application/strategic-merge-patch+json'
const applyPatch = 'application/apply-patch+yaml'

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const many = (count: number, one: (index: number) => string, joint = ','): string =>
  Array.from({ length: count }, (_, at) => one(at)).join(joint)

const configMap = (rest: string): string => `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}${rest}}`
const inMetadata = (rest: string): string => `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"${rest}}}`
const pod = (spec: string): string => `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{${spec}}}`
const container = (rest = ''): string => `"containers":[{"name":"c","image":"i"${rest}}]`

function definition(schema: string): string {
  return `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"xs.hostile.io"},"spec":{"group":"hostile.io","names":{"plural":"xs","singular":"x","kind":"X","listKind":"XList"},"scope":"Namespaced","versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":${schema}}}]}}`
}

/** `size` is about how many bytes the large bodies have: 3 MiB is the most that a server reads. */
export function hostileInputs(size: number): readonly HostileInput[] {
  const post = (name: string, path: string, contentType: string, body: () => string): HostileInput => ({
    name,
    method: 'POST',
    path,
    contentType,
    body: () => Buffer.from(body()),
  })
  const patch = (name: string, contentType: string, body: () => string, path = target): HostileInput => ({
    name,
    method: 'PATCH',
    path: contentType === applyPatch ? `${path}?fieldManager=m&force=true` : path,
    contentType,
    body: () => Buffer.from(body()),
  })
  const yamlSize = Math.min(size, 512 * 1024)
  const per = (bytes: number): number => Math.floor(size / bytes)
  return [
    ...[json, yaml, jsonPatch, mergePatch, strategicPatch, applyPatch].flatMap((type): HostileInput[] => {
      const send = (name: string, body: () => string): HostileInput =>
        type.includes('patch') ? patch(`${type}: ${name}`, type, body) : post(`${type}: ${name}`, maps, type, body)
      return [
        send('only [', () => '['.repeat(size)),
        send('only {"a":', () => '{"a":'.repeat(per(5))),
        send('999 levels', () => configMap(`,"data":${'{"a":'.repeat(900)}1${'}'.repeat(900)}`)),
        send('no JSON', () => `{${'x'.repeat(size - 1)}`),
        send('a long string', () => JSON.stringify('x'.repeat(size - 2))),
        send('a long string that does not end', () => `"${'\\'.repeat(size - 1)}`),
        send('many empty lists', () => `[${'[],'.repeat(per(3) - 2)}[]]`),
        send('many numbers', () => `[${'1,'.repeat(per(2) - 2)}1]`),
        send('a long number', () => configMap(`,"data":{"a":${'9'.repeat(size - 200)}}`)),
        send('many keys', () => configMap(`,"data":{${many(per(14), (at) => `"k${at}":"v"`)}}`)),
        send('many unknown fields', () => configMap(`,${many(per(14), (at) => `"k${at}":"v"`)}`)),
        send('one key many times', () => configMap(`,"data":{${many(per(8), () => '"k":"v"')}}`)),
        send('a prototype', () => configMap(`,"__proto__":{"data":{"a":"b"}},"data":{"__proto__":"x","constructor":"y","toString":"z"}`)),
        send('not UTF-8', () => Buffer.from([0xff, 0xfe, 0x7b, 0x22, 0xc3, 0x28]).toString('latin1')),
        send('nothing but spaces', () => ' '.repeat(size)),
      ]
    }),
    post('metadata: long name', maps, json, () => JSON.stringify({ metadata: { name: 'x'.repeat(size - 100) } })),
    post('metadata: long namespace', maps, json, () => JSON.stringify({ metadata: { name: 'x', namespace: 'n'.repeat(size - 100) } })),
    post('metadata: long kind', maps, json, () => JSON.stringify({ apiVersion: 'v1', kind: 'K'.repeat(size - 100) })),
    post('metadata: many labels', maps, json, () => inMetadata(`,"labels":{${many(per(16), (at) => `"/k${at}":"-"`)}}`)),
    post('metadata: many annotations', maps, json, () => inMetadata(`,"annotations":{${many(per(16), (at) => `"/k${at}":"-"`)}}`)),
    post('metadata: many finalizers', maps, json, () => inMetadata(`,"finalizers":[${many(per(10), (at) => `"f${at}"`)}]`)),
    post('metadata: many owners', maps, json, () => inMetadata(`,"ownerReferences":[${many(per(20), () => '{"controller":true}')}]`)),
    post('metadata: many managers', maps, json, () =>
      inMetadata(`,"managedFields":[${many(per(60), (at) => `{"manager":"m${at}","operation":"Update","fieldsV1":{}}`)}]`),
    ),
    post('metadata: many managed fields', maps, json, () =>
      inMetadata(
        `,"managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{${many(per(16), (at) => `"f:k${at}":{}`)}}}]`,
      ),
    ),
    post('pod: many containers', pods, json, () => pod(`"containers":[${many(per(25), (at) => `{"name":"c${at}"}`)}]`)),
    post('pod: empty containers', pods, json, () => pod(`"containers":[${many(per(3), () => '{}')}]`)),
    post('pod: many variables', pods, json, () => pod(container(`,"env":[${many(per(14), (at) => `{"name":"E${at}"}`)}]`))),
    post('pod: many ports', pods, json, () => pod(container(`,"ports":[${many(per(24), (at) => `{"containerPort":${at % 70_000}}`)}]`))),
    post('pod: many mounts', pods, json, () =>
      pod(container(`,"volumeMounts":[${many(per(24), (at) => `{"name":"v${at}","mountPath":"/"}`)}]`)),
    ),
    post('pod: many volumes', pods, json, () => pod(`${container()},"volumes":[${many(per(16), (at) => `{"name":"v${at}"}`)}]`)),
    post('pod: many tolerations', pods, json, () => pod(`${container()},"tolerations":[${many(per(16), (at) => `{"key":"k${at}"}`)}]`)),
    post('pod: many terms', pods, json, () =>
      pod(
        `${container()},"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[${many(per(48), (at) => `{"matchExpressions":[{"key":"k${at}","operator":"?"}]}`)}]}}}`,
      ),
    ),
    post('pod: a long quantity', pods, json, () => pod(container(`,"resources":{"limits":{"cpu":"${'9'.repeat(size - 300)}"}}`))),
    post('pod: a long image', pods, json, () => pod(`"containers":[{"name":"c","image":"${'a/'.repeat(per(2) - 100)}:"}]`)),
    post('pod: a long address', pods, json, () => pod(`${container()},"hostAliases":[{"ip":"${'1:'.repeat(per(2) - 100)}"}]`)),
    post(
      'service: many ports',
      '/api/v1/namespaces/default/services',
      json,
      () => `{"metadata":{"name":"x"},"spec":{"ports":[${many(per(24), (at) => `{"name":"p${at}","port":1}`)}]}}`,
    ),
    post(
      'role: many rules',
      '/apis/rbac.authorization.k8s.io/v1/clusterroles',
      json,
      () => `{"metadata":{"name":"x"},"rules":[${many(per(14), () => '{"verbs":[""]}')}]}`,
    ),
    post(
      'network policy: many peers',
      '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies',
      json,
      () => `{"metadata":{"name":"x"},"spec":{"podSelector":{},"ingress":[{"from":[${many(per(30), () => '{"ipBlock":{"cidr":"1"}}')}]}]}}`,
    ),
    post(
      'review: many groups',
      '/apis/authorization.k8s.io/v1/subjectaccessreviews',
      json,
      () => `{"spec":{"user":"u","groups":[${many(per(10), (at) => `"g${at}"`)}],"nonResourceAttributes":{"path":"/","verb":"get"}}}`,
    ),
    post('review: a long token', '/apis/authentication.k8s.io/v1/tokenreviews', json, () =>
      JSON.stringify({ spec: { token: `${'a'.repeat(size / 3)}.${'b'.repeat(size / 3)}.c` } }),
    ),
    post('secret: long data', '/api/v1/namespaces/default/secrets', json, () =>
      JSON.stringify({ metadata: { name: 'x' }, data: { a: 'A'.repeat(size - 100) } }),
    ),
    post('secret: no base64', '/api/v1/namespaces/default/secrets', json, () =>
      JSON.stringify({ metadata: { name: 'x' }, data: { a: `${'A'.repeat(size - 100)}?` } }),
    ),
    post('yaml: dense', maps, yaml, () => `metadata:\n  name: x\ndata:\n${many(yamlSize / 12, (at) => `  k${at}: v`, '\n')}`),
    post('yaml: dense list', maps, yaml, () => `a:\n${'- \n'.repeat(yamlSize / 3 - 2)}`),
    post('yaml: flow', maps, yaml, () => `{a: [${'b,'.repeat(yamlSize / 2 - 10)}c]}`),
    post(
      'yaml: laughs',
      maps,
      yaml,
      () =>
        `a0: &a0 [x]\n${many(30, (at) => `a${at + 1}: &a${at + 1} [*a${at},*a${at},*a${at},*a${at},*a${at},*a${at},*a${at},*a${at}]`, '\n')}`,
    ),
    post('yaml: many aliases', maps, yaml, () => `a: &a {b: c}\nd:\n${'- *a\n'.repeat(yamlSize / 5 - 10)}`),
    post('yaml: itself', maps, yaml, () => 'a: &a\n  b: *a\n'),
    post('yaml: deep blocks', maps, yaml, () => many(700, (at) => `${' '.repeat(at)}a:`, '\n')),
    post('yaml: deep dashes', maps, yaml, () => '- '.repeat(yamlSize / 2)),
    post('yaml: many documents', maps, yaml, () => '---\na: b\n'.repeat(yamlSize / 9)),
    post('yaml: anchors', maps, yaml, () => many(yamlSize / 16, (at) => `k${at}: &a${at} 1`, '\n')),
    post('yaml: question marks', maps, yaml, () => '? '.repeat(yamlSize / 2)),
    post('yaml: tabs and colons', maps, yaml, () => '\t:'.repeat(yamlSize / 2)),
    post('yaml: a long comment', maps, yaml, () => `#${' #'.repeat(yamlSize / 2 - 1)}`),
    post('yaml: a long quote', maps, yaml, () => `a: '${"''".repeat(yamlSize / 2 - 10)}`),
    post('yaml: merges', maps, yaml, () => `a: &a {b: c}\nd:\n${'  <<: *a\n'.repeat(yamlSize / 9 - 10)}`),
    patch(
      'apply: dense YAML',
      applyPatch,
      () => `apiVersion: v1\nkind: ConfigMap\ndata:\n${many(yamlSize / 12, (at) => `  k${at}: v`, '\n')}`,
    ),
    ...['', 'k8s', 'k8s\0', 'k8s\0\n', 'k8s\0\x0a\xff\xff\xff\xff\x0f', 'k8s\0\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01'].map(
      (head, at): HostileInput => ({
        name: `protobuf: broken ${at}`,
        method: 'POST',
        path: maps,
        contentType: protobuf,
        body: () => Buffer.from(`${head}${'\x0a'.repeat(100)}`, 'latin1'),
      }),
    ),
    ...['\x0a\x00', '\x12\x00', '\x08\x01', '\x0b', '\x22\x00'].map((unit, at): HostileInput => ({
      name: `protobuf: one field many times ${at}`,
      method: 'POST',
      path: at % 2 === 0 ? maps : pods,
      contentType: protobuf,
      body: () =>
        protobufBody(at % 2 === 0 ? 'ConfigMap' : 'Pod', Buffer.from(unit.repeat(Math.floor((size - 100) / unit.length)), 'latin1')),
    })),
    {
      name: 'protobuf: deep',
      method: 'POST',
      path: definitions,
      contentType: protobuf,
      body: () => protobufBody('CustomResourceDefinition', nested(Math.min(size, 200_000)), 'apiextensions.k8s.io/v1'),
    },
    patch('json patch: too many', jsonPatch, () => `[${many(per(40), () => '{"op":"test","path":"/kind","value":1}')}]`),
    patch('json patch: ten thousand', jsonPatch, () => `[${many(10_000, (at) => `{"op":"add","path":"/data/k${at}","value":"v"}`)}]`),
    patch(
      'json patch: in front',
      jsonPatch,
      () =>
        `[{"op":"add","path":"/metadata/finalizers","value":[${many(100, () => '"a/b"')}]},${many(9_990, () => '{"op":"add","path":"/metadata/finalizers/0","value":"a/b"}')}]`,
    ),
    patch(
      'json patch: doubling',
      jsonPatch,
      () =>
        `[{"op":"add","path":"/metadata/a","value":["x"]},${many(40, (at) => `{"op":"copy","from":"/metadata","path":"/metadata/b${at}"}`)}]`,
    ),
    patch(
      'json patch: moves',
      jsonPatch,
      () =>
        `[{"op":"add","path":"/metadata/finalizers","value":[${many(per(20), (at) => `"a/b${at}"`)}]},${many(9_990, () => '{"op":"move","from":"/metadata/finalizers/0","path":"/metadata/finalizers/-"}')}]`,
    ),
    patch(
      'json patch: copies of a long list',
      jsonPatch,
      () =>
        `[{"op":"add","path":"/metadata/a","value":[${many(per(20), (at) => `"v${at}"`)}]},${many(5_000, (at) => `{"op":"copy","from":"/metadata/a/0","path":"/metadata/b${at}"}`)}]`,
    ),
    patch('merge patch: many nulls', mergePatch, () => `{"data":{${many(per(16), (at) => `"k${at}":null`)}}}`),
    patch('json patch: long pointer', jsonPatch, () => `[{"op":"add","path":"${'/a'.repeat(per(2) - 100)}","value":1}]`),
    patch('json patch: long operation', jsonPatch, () => `[{"op":"${'a'.repeat(size - 100)}","path":"/a"}]`),
    patch(
      'json patch: a prototype',
      jsonPatch,
      () => '[{"op":"add","path":"/__proto__/polluted","value":"yes"},{"op":"add","path":"/constructor/prototype/polluted","value":"yes"}]',
    ),
    patch(
      'json patch: tests',
      jsonPatch,
      () =>
        `[{"op":"add","path":"/metadata/a","value":{${many(per(60), (at) => `"k${at}":1`)}}},${many(5_000, () => '{"op":"test","path":"/metadata","value":{"a":{}}}')}]`,
    ),
    patch(
      'strategic: directives',
      strategicPatch,
      () =>
        `{"metadata":{"finalizers":[${many(per(20), (at) => `"f${at}"`)}],"$setElementOrder/finalizers":[${many(per(20), (at) => `"f${at}"`)}]}}`,
    ),
    patch(
      'strategic: deletions',
      strategicPatch,
      () => `{"metadata":{"$deleteFromPrimitiveList/finalizers":[${many(per(10), (at) => `"f${at}"`)}]}}`,
    ),
    patch('strategic: owners', strategicPatch, () => `{"metadata":{"ownerReferences":[${many(per(20), (at) => `{"uid":"u${at}"}`)}]}}`),
    patch(
      'strategic: owners in order',
      strategicPatch,
      () =>
        `{"metadata":{"$setElementOrder/ownerReferences":[${many(per(40), (at) => `{"uid":"u${at}"}`)}],"ownerReferences":[${many(per(40), (at) => `{"uid":"u${at}"}`)}]}}`,
    ),
    patch('apply: containers', applyPatch, () => pod(`"containers":[${many(per(25), (at) => `{"name":"c${at}"}`)}]`), `${pods}/x`),
    patch('apply: ports', applyPatch, () => pod(container(`,"ports":[${many(per(24), (at) => `{"containerPort":${at}}`)}]`)), `${pods}/x`),
    patch('apply: owners', applyPatch, () => inMetadata(`,"ownerReferences":[${many(per(20), (at) => `{"uid":"u${at}"}`)}]`), `${maps}/x`),
    post('definition: many properties', definitions, json, () =>
      definition(`{"type":"object","properties":{${many(per(26), (at) => `"k${at}":{"type":"string"}`)}}}`),
    ),
    post('definition: deep', definitions, json, () =>
      definition(`${'{"type":"object","properties":{"a":'.repeat(400)}{}${'}}'.repeat(400)}`),
    ),
    post('definition: many patterns', definitions, json, () =>
      definition(`{"type":"object","properties":{${many(per(50), (at) => `"k${at}":{"type":"string","pattern":"(a+)+$"}`)}}}`),
    ),
    post('definition: a long pattern', definitions, json, () =>
      definition(`{"type":"object","properties":{"a":{"type":"string","pattern":"${'(a|b)*'.repeat(per(6) - 100)}"}}}`),
    ),
    post('definition: a large repetition', definitions, json, () =>
      definition('{"type":"object","properties":{"a":{"type":"string","pattern":"((a{0,100}){0,100}){0,100}"}}}'),
    ),
    post('definition: long enum', definitions, json, () =>
      definition(`{"type":"object","properties":{"a":{"type":"string","enum":[${many(per(10), (at) => `"e${at}"`)}]}}}`),
    ),
    post('definition: many rules', definitions, json, () =>
      definition(`{"type":"object","x-kubernetes-validations":[${many(Math.min(per(20), 3000), () => '{"rule":"true"}')}]}`),
    ),
    post('definition: a long rule', definitions, json, () =>
      definition(`{"type":"object","x-kubernetes-validations":[{"rule":"true${'||true'.repeat(per(6) - 100)}"}]}`),
    ),
    post('definition: a deep rule', definitions, json, () =>
      definition(
        `{"type":"object","x-kubernetes-validations":[{"rule":"${'('.repeat(size / 2 - 200)}true${')'.repeat(size / 2 - 200)}"}]}`,
      ),
    ),
    post('definition: a nested rule', definitions, json, () =>
      definition(`{"type":"object","x-kubernetes-validations":[{"rule":"${'[1].all(x,'.repeat(200)}true${')'.repeat(200)}"}]}`),
    ),
    post('definition: a list in a rule', definitions, json, () =>
      definition(`{"type":"object","x-kubernetes-validations":[{"rule":"[${'1,'.repeat(per(2) - 200)}1].size()>0"}]}`),
    ),
    post('definition: a long default', definitions, json, () =>
      definition(
        `{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"},"default":[${'1,'.repeat(per(2) - 200)}1]}}}`,
      ),
    ),
    post('policy: a long expression', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies', json, () =>
      JSON.stringify({
        metadata: { name: 'x' },
        spec: { matchConstraints: { resourceRules: [] }, validations: [{ expression: `true${'&&true'.repeat(per(6) - 100)}` }] },
      }),
    ),
    post(
      'policy: many expressions',
      '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies',
      json,
      () => `{"metadata":{"name":"x"},"spec":{"validations":[${many(per(24), () => '{"expression":"1+1==2"}')}]}}`,
    ),
    post(
      'deployment: a long selector',
      '/apis/apps/v1/namespaces/default/deployments',
      json,
      () =>
        `{"metadata":{"name":"x"},"spec":{"selector":{"matchExpressions":[${many(per(40), (at) => `{"key":"k${at}","operator":"In","values":["v"]}`)}]},"template":{"spec":{}}}}`,
    ),
    {
      name: 'protobuf: groups in groups',
      method: 'POST',
      path: maps,
      contentType: protobuf,
      body: () => protobufBody('ConfigMap', Buffer.alloc(Math.min(size, 1_000_000), 0x7b)),
    },
    {
      name: 'protobuf: many entries',
      method: 'POST',
      path: maps,
      contentType: protobuf,
      body: () => protobufBody('ConfigMap', Buffer.alloc(size - (size % 4) - 200, Buffer.from([0x12, 0x02, 0x0a, 0x00]))),
    },
    {
      name: 'gzip: what it is not',
      method: 'POST',
      path: maps,
      contentType: json,
      headers: { 'content-encoding': 'gzip' },
      body: () => gzipSync(Buffer.alloc(size * 100, 0x5b)),
    },
    ...['Table', 'PartialObjectMetadataList'].map((kind): HostileInput => ({
      name: `list: all objects as ${kind}`,
      method: 'GET',
      path: '/api/v1/configmaps',
      headers: { accept: `application/json;as=${kind};g=meta.k8s.io;v=v1` },
    })),
    ...['application/json', 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf'].map((accept): HostileInput => ({
      name: `document of everything as ${accept}`,
      method: 'GET',
      path: '/openapi/v2',
      headers: { accept },
    })),
    {
      name: 'headers: a flood',
      method: 'GET',
      path: maps,
      headers: Object.fromEntries(Array.from({ length: 900 }, (_, at) => [`x-${at}`, 'y'])),
    },
    {
      name: 'delete: hostile options',
      method: 'DELETE',
      path: `${maps}/none`,
      contentType: json,
      body: () => Buffer.from('['.repeat(size)),
    },
    {
      name: 'delete: many options',
      method: 'DELETE',
      path: `${maps}/none`,
      contentType: json,
      body: () => Buffer.from(`{"dryRun":[${'"x",'.repeat(per(4) - 10)}"y"]}`),
    },
    {
      name: 'delete collection: hostile options',
      method: 'DELETE',
      path: `${maps}?labelSelector=none=1`,
      contentType: yaml,
      body: () => Buffer.from('- '.repeat(yamlSize / 2)),
    },
    ...hostileTargets().map((path): HostileInput => ({ name: `target: ${path.slice(0, 60)}`, method: 'GET', path })),
  ]
}

/** The envelope of a protobuf body. */
function protobufBody(kind: string, raw: Buffer, apiVersion = 'v1'): Buffer {
  const field = (tag: number, bytes: Buffer): Buffer => Buffer.concat([Buffer.from([tag]), varint(bytes.length), bytes])
  const head = Buffer.concat([field(0x0a, Buffer.from(apiVersion)), field(0x12, Buffer.from(kind))])
  return Buffer.concat([Buffer.from('k8s\0', 'latin1'), field(0x0a, head), field(0x12, raw)])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest & 127) | 128)
    rest = Math.floor(rest / 128)
  }
  return Buffer.from([...bytes, rest])
}

/** Messages in messages under every number, until there are `size` bytes. */
function nested(size: number): Buffer {
  let parts: Buffer[] = []
  let length = 0
  while (length < size) {
    const head = Buffer.concat([Buffer.from([0x12]), varint(length)])
    parts.push(head)
    length += head.length
  }
  parts = parts.toReversed()
  return Buffer.concat(parts)
}

/** Request targets; a client's HTTP library must let them pass as they are. */
export function hostileTargets(): readonly string[] {
  const long = 'x'.repeat(12_000)
  const query = (text: string): string => `${maps}?${text}`
  return [
    '/api/v1/%',
    '/api/v1/%zz/x',
    '/api/v1/namespaces/%00/pods',
    '/api/v1/namespaces/..%2f..%2fkube-system/secrets',
    '/api/v1/__proto__',
    '/apis/__proto__/v1/constructor',
    '/apis/constructor/prototype/toString/x',
    '/api/v1/namespaces/__proto__/configmaps/__proto__',
    '/openapi/v3/__proto__',
    '/openapi/v3/apis/constructor',
    `/${'/'.repeat(12_000)}api`,
    `/api/v1/${long}`,
    `/api/v1/namespaces/${long}/pods/${long.slice(0, 1000)}`,
    `/apis/${'a/'.repeat(6000)}`,
    `/healthz/${long}`,
    query(`labelSelector=${'a=b,'.repeat(3000)}a=b`),
    query(`labelSelector=a+in+(${'b,'.repeat(5000)}c)`),
    query(`labelSelector=${'('.repeat(10_000)}`),
    query(`labelSelector=${'!'.repeat(10_000)}`),
    // Of many objects, each term is asked of each.
    ...['', '&watch=1&timeoutSeconds=1'].flatMap((rest) => [
      `/api/v1/configmaps?labelSelector=${many(2000, (at) => `!k${at}`)}${rest}`,
      `/api/v1/configmaps?labelSelector=index+notin+(${many(2000, (at) => `x${at}`)})${rest}`,
      `/api/v1/configmaps?fieldSelector=${many(700, (at) => `metadata.name!=x${at}`)}${rest}`,
    ]),
    query(`labelSelector=__proto__=x`),
    query(`fieldSelector=${'metadata.name!=x,'.repeat(600)}metadata.name!=y`),
    query(`fieldSelector=${'a.'.repeat(6000)}=b`),
    query(`fieldSelector=__proto__=x,constructor=y`),
    query(`fieldSelector=${'\\\\'.repeat(6000)}`),
    query(`limit=-1`),
    query(`limit=99999999999999999999`),
    query(`limit=1&continue=${'A'.repeat(12_000)}`),
    query(`limit=1&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vLi4vc2VjcmV0cyJ9`),
    query(`resourceVersion=-1`),
    query(`resourceVersion=99999999999999999999999999`),
    query(`resourceVersion=__proto__&resourceVersionMatch=constructor`),
    query(`timeout=${'1h'.repeat(5000)}`),
    query(`timeout=-5s`),
    query(`watch=1&timeoutSeconds=-1&resourceVersion=x`),
    query(`sendInitialEvents=true`),
    query('a&'.repeat(6000)),
    query(`pretty=${'%'.repeat(10_000)}`),
    query(`__proto__=x&constructor=y&toString=z`),
    `${maps}/target/__proto__`,
    `${pods}/none/log?tailLines=-1&sinceTime=${'9'.repeat(9000)}`,
    `${pods}/none/exec?command=${'a&command='.repeat(1000)}`,
    `/api/v1/namespaces/default/services/http:${'a'.repeat(9000)}:0/proxy/`,
    `/api/v1/watch/${'watch/'.repeat(2000)}`,
    '/metrics?__proto__=1',
    '/readyz?exclude=__proto__&verbose',
  ]
}
