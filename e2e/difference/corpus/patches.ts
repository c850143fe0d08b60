import { CaseBuilder, type Area, type Case, type Json, type JsonObject } from '../case.ts'

const deployments = '/apis/apps/v1/namespaces/$ns/deployments'
const spec: JsonObject = {
  selector: { matchLabels: { app: 'a' } },
  template: {
    metadata: { labels: { app: 'a' } },
    spec: {
      containers: [
        {
          name: 'a',
          image: 'registry.example/a:1',
          env: [{ name: 'X', value: '1' }],
          ports: [{ containerPort: 80 }],
          args: ['one', 'two'],
        },
        { name: 'b', image: 'registry.example/b:1' },
        { name: 'c', image: 'registry.example/c:1' },
      ],
      volumes: [{ name: 'v', emptyDir: {} }],
      tolerations: [{ key: 'k', operator: 'Exists' }],
      imagePullSecrets: [{ name: 's' }, { name: 't' }],
    },
  },
}

/** Each directive of strategic merge patches, against an object that stays as it is. */
function directives(): Case {
  const at = `${deployments}/d?dryRun=All`
  const built = new CaseBuilder('directives').post(
    deployments,
    { metadata: { name: 'd', labels: { x: '1', y: '2' }, finalizers: ['example.com/a', 'example.com/b'] }, spec },
    'create',
  )
  const pod = (label: string, podSpec: Json): void => {
    built.patch(at, 'strategic', { spec: { template: { spec: podSpec } } }, label)
  }
  const containers = (label: string, ...list: Json[]): void => pod(label, { containers: list })
  containers('delete', { name: 'b', $patch: 'delete' })
  containers('delete what is not there', { name: 'z', $patch: 'delete' })
  containers('delete without a key', { $patch: 'delete' })
  containers('delete and add', { name: 'b', $patch: 'delete' }, { name: 'd', image: 'i' })
  containers('replace all', { $patch: 'replace' }, { name: 'd', image: 'i' })
  containers('replace one', { name: 'a', image: 'i', $patch: 'replace' })
  containers('merge directive', { name: 'a', $patch: 'merge' })
  containers('unknown directive', { name: 'a', $patch: 'other' })
  containers('number for a directive', { name: 'a', $patch: 5 })
  containers('retain keys', { name: 'a', $retainKeys: ['name', 'image'], image: 'i' })
  containers('new first', { name: 'z', image: 'i' }, { name: 'a', image: 'j' })
  containers('twice', { name: 'a', image: 'i' }, { name: 'a', image: 'j' })
  containers('not a map', 'text')
  containers('lists of lists', [{ name: 'a' }])
  containers('no key', { image: 'x' })
  containers('null key', { name: null, image: 'x' })
  containers('env', {
    name: 'a',
    env: [
      { name: 'X', $patch: 'delete' },
      { name: 'Y', value: '2' },
    ],
  })
  containers('null value', { name: 'a', env: [{ name: 'X', value: null }] })
  containers('args', { name: 'a', args: ['three'] })
  containers('ports by their number', { name: 'a', ports: [{ containerPort: 80, name: 'web' }, { containerPort: 81 }] })
  pod('order', { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }, { name: 'b' }] })
  pod('order of some', { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }] })
  pod('order with a change', { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }], containers: [{ name: 'a', image: 'i' }] })
  pod('order that does not fit', { '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'a', image: 'i' }] })
  pod('order without keys', { '$setElementOrder/containers': [{ image: 'b' }] })
  pod('order that is no list', { '$setElementOrder/containers': {} })
  pod('order of what is no list', { '$setElementOrder/nodeSelector': ['a'] })
  pod('retain keys of a volume', { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] })
  pod('two sources of a volume', { volumes: [{ name: 'v', hostPath: { path: '/x' } }] })
  pod('secrets', { imagePullSecrets: [{ name: 's', $patch: 'delete' }] })
  pod('atomic list', { tolerations: [{ key: 'z', operator: 'Exists' }] })
  pod('null list', { containers: null })
  pod('empty list', { containers: [] })
  pod('map for a list', { containers: {} })
  pod('list for a map', { nodeSelector: [] })
  pod('replace a map', { $patch: 'replace', containers: [{ name: 'a', image: 'i' }] })
  pod('delete a map', { $patch: 'delete' })
  pod('unknown map', { bogus: { a: { b: 1 } } })
  pod('unknown list', { bogus: [1] })
  const meta = (label: string, metadata: JsonObject): void => {
    built.patch(at, 'strategic', { metadata }, label)
  }
  meta('labels', { labels: { x: null, z: '3' } })
  meta('replaced labels', { labels: { $patch: 'replace', z: '3' } })
  meta('deleted labels', { labels: { $patch: 'delete' } })
  meta('finalizers', { finalizers: ['example.com/c'] })
  meta('deleted finalizers', { '$deleteFromPrimitiveList/finalizers': ['example.com/a'] })
  meta('ordered finalizers', { '$setElementOrder/finalizers': ['example.com/b', 'example.com/a'] })
  meta('badly deleted finalizers', { $deleteFromPrimitiveList: ['example.com/a'] })
  meta('number for a label', { labels: { x: 5 } })
  meta('text for labels', { labels: 'x' })
  built
    .patch(at, 'strategic', { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } }, 'strategy')
    .patch(at, 'strategic', { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate', rollingUpdate: {} } } }, 'strategy with another')
    .patch(at, 'strategic', { spec: { strategy: { type: 'Recreate' } } }, 'strategy without')
    .patch(at, 'strategic', { spec: { strategy: { $retainKeys: 'type', type: 'Recreate' } } }, 'bad keys')
    .patch(at, 'strategic', { spec: 'text' }, 'text for a spec')
    .patch(at, 'strategic', { spec: { replicas: 'many' } }, 'text for a number')
    .patch(at, 'strategic', { spec: { replicas: 1.5 } }, 'fraction')
    .patch(at, 'strategic', { spec: { paused: 'yes' } }, 'text for a boolean')
    .patch(at, 'strategic', { kind: 'Other' }, 'another kind')
    .patch(at, 'strategic', { metadata: { name: 'e' } }, 'another name')
    .patch(`${at}&fieldValidation=Strict`, 'strategic', { spec: { bogus: 1 } }, 'strict')
    .patch(`${at}&fieldValidation=Warn`, 'strategic', { spec: { bogus: 1 } }, 'warned')
    .patch(at, 'merge', { spec: { template: { spec: { containers: [{ name: 'z' }] } } } }, 'merge of a list')
    .patch(at, 'merge', { metadata: { labels: null }, spec: { replicas: null } }, 'merge of nulls')
  return built.build()
}

/** Operations of JSON patches, against an object that stays as it is. */
function operations(): Case {
  const at = '/api/v1/namespaces/$ns/configmaps/m?dryRun=All'
  const built = new CaseBuilder('operations').post(
    '/api/v1/namespaces/$ns/configmaps',
    { metadata: { name: 'm', labels: { 'a/b': '1', 'c~d': '2' } }, data: { a: '1', b: '2' } },
    'create',
  )
  const ask = (label: string, ...list: Json[]): void => {
    built.patch(at, 'json', list, label)
  }
  ask('add', { op: 'add', path: '/data/c', value: '3' })
  ask('add below nothing', { op: 'add', path: '/binaryData/c', value: 'eA==' })
  ask('add over', { op: 'add', path: '/data/a', value: '3' })
  ask('replace nothing', { op: 'replace', path: '/data/z', value: '3' })
  ask('remove', { op: 'remove', path: '/data/a' })
  ask('remove nothing', { op: 'remove', path: '/data/z' })
  ask('move', { op: 'move', from: '/data/a', path: '/data/z' })
  ask('move nothing', { op: 'move', from: '/data/x', path: '/data/z' })
  ask('copy', { op: 'copy', from: '/data/a', path: '/data/z' })
  ask('test', { op: 'test', path: '/data/a', value: '1' }, { op: 'remove', path: '/data/a' })
  ask('failed test', { op: 'test', path: '/data/a', value: '2' }, { op: 'remove', path: '/data/a' })
  ask('test for nothing', { op: 'test', path: '/data/z', value: null })
  ask('escaped slash', { op: 'remove', path: '/metadata/labels/a~1b' })
  ask('escaped tilde', { op: 'remove', path: '/metadata/labels/c~0d' })
  ask('whole', { op: 'replace', path: '', value: {} })
  ask('no slash', { op: 'replace', path: 'data', value: {} })
  ask('no operation', { path: '/data/a', value: 'x' })
  ask('unknown operation', { op: 'other', path: '/data/a' })
  ask('no value', { op: 'add', path: '/data/z' })
  ask('null value', { op: 'add', path: '/data/z', value: null })
  ask('wrong type', { op: 'add', path: '/data', value: 5 })
  ask('wrong type inside', { op: 'add', path: '/data/z', value: 5 })
  ask(
    'end of a list',
    { op: 'add', path: '/metadata/finalizers', value: [] },
    { op: 'add', path: '/metadata/finalizers/-', value: 'example.com/a' },
  )
  ask(
    'beyond a list',
    { op: 'add', path: '/metadata/finalizers', value: [] },
    { op: 'add', path: '/metadata/finalizers/5', value: 'example.com/a' },
  )
  ask('nothing')
  return built.build()
}

export const patches: Area = { name: 'patches', cases: [directives(), operations()] }
