import { CaseBuilder, type Area, type Case, type Json, type JsonObject } from '../case.ts'

const group = '/apis/resource.k8s.io/v1'
const exactly: JsonObject = { deviceClassName: 'gpu.example.com' }
const opaque: JsonObject = { driver: 'gpu.example.com', parameters: { a: 1 } }

function classes(): Case {
  const built = new CaseBuilder('device-classes')
  const ask = (label: string, spec: JsonObject): void => {
    built.post(`${group}/deviceclasses?dryRun=All`, { metadata: { name: 'c.example.com' }, spec }, label)
  }
  const select = (label: string, expression: string): void => ask(label, { selectors: [{ cel: { expression } }] })
  select('driver', 'device.driver == "gpu.example.com"')
  select('attribute', 'device.attributes["gpu.example.com"].isLarge')
  select('attribute of no domain', 'device.attributes.isLarge')
  select('capacity', 'device.capacity["gpu.example.com"].memory.compareTo(quantity("1Gi")) > 0')
  select('shared', 'device.allowMultipleAllocations')
  select('number', '1 + 1')
  select('text', 'device.driver')
  select('map', 'device.attributes')
  select('unknown field', 'device.other == 1')
  select('unfinished', 'device.driver ==')
  select('two lines', 'device.driver ==\n "x" && other')
  select('binding', 'cel.bind(a, device.attributes["x"], a.b == 1 && a.c)')
  select('bad binding', 'cel.bind(1, 2, true)')
  select('semver', 'device.attributes["x"].version.isGreaterThan(semver("1.0.0"))')
  select('wrong overload', 'device.driver + 1 == "x"')
  select('loop', 'device.attributes.all(d, device.attributes[d].exists(a, a == "x"))')
  select(
    'dear',
    'device.attributes.all(a, device.attributes.all(b, device.attributes.all(c, device.attributes.all(d, a + b + c + d == "x"))))',
  )
  select('includes', 'device.attributes["x"].y.includes("z")')
  select('bad expression of a pattern', 'device.driver.matches("(")')
  ask('no cel', { selectors: [{}] })
  ask('many selectors', { selectors: Array.from({ length: 33 }, () => ({ cel: { expression: 'true' } })) })
  ask('config', { config: [{ opaque }] })
  ask('no driver', { config: [{ opaque: { parameters: {} } }] })
  ask('bad driver', { config: [{ opaque: { ...opaque, driver: 'Bad Value!' } }] })
  ask('no parameters', { config: [{ opaque: { driver: 'gpu.example.com' } }] })
  ask('list of parameters', { config: [{ opaque: { ...opaque, parameters: [] } }] })
  ask('null parameters', { config: [{ opaque: { ...opaque, parameters: null } }] })
  ask('extended resource', { extendedResourceName: 'example.com/gpu' })
  ask('native resource', { extendedResourceName: 'kubernetes.io/gpu' })
  ask('bad resource', { extendedResourceName: 'gpu' })
  return built.build()
}

function claims(): Case {
  const all = `${group}/namespaces/$ns/resourceclaims`
  const built = new CaseBuilder('device-claims')
  const ask = (label: string, devices: JsonObject): void => {
    built.post(`${all}?dryRun=All`, { metadata: { name: 'c' }, spec: { devices } }, label)
  }
  const request = (label: string, more: JsonObject): void => ask(label, { requests: [{ name: 'a', ...more }] })
  request('exactly', { exactly })
  request('all', { exactly: { ...exactly, allocationMode: 'All' } })
  request('all of some', { exactly: { ...exactly, allocationMode: 'All', count: 2 } })
  request('count', { exactly: { ...exactly, count: 3 } })
  request('negative count', { exactly: { ...exactly, count: -1 } })
  request('mode', { exactly: { ...exactly, allocationMode: 'Other' } })
  request('no class', { exactly: {} })
  request('bad class', { exactly: { deviceClassName: 'Bad Value!' } })
  request('nothing', {})
  request('both', { exactly, firstAvailable: [{ name: 'x', ...exactly }] })
  request('alternatives', {
    firstAvailable: [
      { name: 'x', ...exactly },
      { name: 'y', ...exactly, count: 2 },
    ],
  })
  request('alternatives of one name', {
    firstAvailable: [
      { name: 'x', ...exactly },
      { name: 'x', ...exactly },
    ],
  })
  request('alternative without a name', { firstAvailable: [exactly] })
  request('many alternatives', { firstAvailable: Array.from({ length: 9 }, (_, index) => ({ name: `x${index}`, ...exactly })) })
  request('selectors', { exactly: { ...exactly, selectors: [{ cel: { expression: 'device.driver' } }] } })
  request('tolerations', { exactly: { ...exactly, tolerations: [{ key: 'k', operator: 'Exists' }] } })
  request('bad tolerations', {
    exactly: {
      ...exactly,
      tolerations: [{ key: 'bad key', operator: 'Other', effect: 'Other' }, { operator: 'Exists', value: 'x' }, { key: 'k' }],
    },
  })
  request('admin', { exactly: { ...exactly, adminAccess: true } })
  request('capacity', { exactly: { ...exactly, capacity: { requests: { memory: '1Gi' } } } })
  ask('two of one name', {
    requests: [
      { name: 'a', exactly },
      { name: 'a', exactly },
    ],
  })
  ask('many', { requests: Array.from({ length: 33 }, (_, index) => ({ name: `a${index}`, exactly })) })
  const rest = (label: string, more: JsonObject): void =>
    ask(label, {
      requests: [
        { name: 'a', exactly },
        { name: 'b', firstAvailable: [{ name: 'x', ...exactly }] },
      ],
      ...more,
    })
  const constraint = (label: string, one: Json): void => rest(label, { constraints: [one] })
  constraint('constraint', { requests: ['a', 'b/x'], matchAttribute: 'gpu.example.com/model' })
  constraint('distinct', { distinctAttribute: 'gpu.example.com/model' })
  constraint('two attributes', { matchAttribute: 'gpu.example.com/model', distinctAttribute: 'gpu.example.com/model' })
  constraint('no attribute', { requests: ['a'] })
  constraint('attribute without a domain', { matchAttribute: 'model' })
  constraint('bad attribute', { matchAttribute: 'gpu.example.com/9' })
  constraint('unknown request', { requests: ['z'], matchAttribute: 'gpu.example.com/model' })
  constraint('unknown alternative', { requests: ['b/z', 'a/x', 'a/b/c', ''], matchAttribute: 'gpu.example.com/model' })
  constraint('repeated request', { requests: ['a', 'a'], matchAttribute: 'gpu.example.com/model' })
  rest('config', { config: [{ requests: ['a'], opaque }, { opaque }] })
  rest('bad config', { config: [{ requests: ['z'] }, { opaque: { driver: '', parameters: 'x' } }] })
  ask('empty', {})
  built
    .post(
      `${group}/namespaces/$ns/resourceclaimtemplates?dryRun=All`,
      { metadata: { name: 't' }, spec: { metadata: { name: 'x', labels: { 'bad key': 'x' } }, spec: { devices: {} } } },
      'template',
    )
    .post(
      `${group}/namespaces/$ns/resourceclaimtemplates?dryRun=All`,
      { metadata: { name: 't' }, spec: { spec: { devices: { requests: [{ name: 'a', exactly: { ...exactly, adminAccess: true } }] } } } },
      'template of an administrator',
    )
  const at = `${all}/c/status`
  const status = (label: string, one: JsonObject): void => {
    built.patch(at, 'merge', { status: one }, label)
  }
  const result = { request: 'a', driver: 'gpu.example.com', pool: 'p', device: 'one' }
  built.post(all, { metadata: { name: 'c' }, spec: { devices: { requests: [{ name: 'a', exactly }] } } }, 'create')
  built.patch(`${all}/c`, 'merge', { spec: { devices: { requests: [] } } }, 'changed')
  status('reserved too early', { reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] })
  status('bad allocation', {
    allocation: { devices: { results: [{ ...result, request: 'z', driver: '', pool: 'Bad Pool', device: '' }] } },
  })
  status('bad share', { allocation: { devices: { results: [{ ...result, shareID: 'x' }] } } })
  status('bad source', { allocation: { devices: { results: [result], config: [{ source: 'Other', opaque }] } } })
  status('no source', { allocation: { devices: { results: [result], config: [{ source: '', opaque }] } } })
  status('allocated', { allocation: { devices: { results: [result] } } })
  status('allocated elsewhere', { allocation: { devices: { results: [{ ...result, device: 'two' }] } } })
  status('reserved', { reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] })
  status('reserved badly', { reservedFor: [{ resource: '', name: '', uid: '' }] })
  status('reserved twice', {
    reservedFor: [
      { resource: 'pods', name: 'p', uid: 'u' },
      { resource: 'pods', name: 'q', uid: 'u' },
    ],
  })
  status('unknown device', { devices: [{ driver: 'gpu.example.com', pool: 'p', device: 'two' }] })
  status('device', {
    devices: [
      {
        driver: 'gpu.example.com',
        pool: 'p',
        device: 'one',
        data: { x: 1 },
        networkData: { interfaceName: 'eth0', ips: ['10.0.0.1/24'] },
        conditions: [{ type: 'Ready', status: 'True', reason: 'Good', message: '', lastTransitionTime: '2020-01-02T03:04:05Z' }],
      },
    ],
  })
  status('bad device', {
    devices: [
      {
        driver: 'gpu.example.com',
        pool: 'p',
        device: 'one',
        data: [],
        networkData: { ips: ['10.0.0.1', '10.0.0.01/24'] },
        conditions: [{ type: '', status: 'Maybe', reason: '', message: '' }],
      },
    ],
  })
  status('released', { reservedFor: null, allocation: null })
  return built.build()
}

function slices(): Case {
  const all = `${group}/resourceslices`
  const built = new CaseBuilder('device-slices')
  const base: JsonObject = { driver: 'gpu.example.com', nodeName: 'n', pool: { name: 'p', generation: 1, resourceSliceCount: 1 } }
  const ask = (label: string, spec: JsonObject): void => {
    built.post(`${all}?dryRun=All`, { metadata: { name: '$run-s' }, spec: { ...base, ...spec } }, label)
  }
  const device = (label: string, more: JsonObject, spec: JsonObject = {}): void =>
    ask(label, { devices: [{ name: 'one', ...more }], ...spec })
  ask('empty', {})
  ask('upper driver', { driver: 'GPU.example.com' })
  ask('no driver', { driver: '' })
  ask('long driver', { driver: 'a'.repeat(64) })
  ask('bad pool', { pool: { name: 'Bad/x', generation: -1, resourceSliceCount: 0 } })
  ask('no pool', { pool: {} })
  ask('bad node', { nodeName: 'Bad Value!' })
  ask('all nodes', { nodeName: undefined, allNodes: true })
  ask('not all nodes', { nodeName: undefined, allNodes: false })
  ask('selected nodes', {
    nodeName: undefined,
    nodeSelector: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }] },
  })
  ask('two terms', { nodeName: undefined, nodeSelector: { nodeSelectorTerms: [{}, {}] } })
  ask('no terms', { nodeName: undefined, nodeSelector: {} })
  ask('many nodes', { allNodes: true, perDeviceNodeSelection: true })
  ask('counters', { sharedCounters: [{ name: 'c', counters: { memory: { value: '1Gi' } } }] })
  ask('bad counters', {
    sharedCounters: [
      { name: 'Bad Value!', counters: { 'Bad Value!': { value: '1Gi' } } },
      { name: '', counters: {} },
    ],
  })
  ask('repeated counters', { sharedCounters: ['c', 'c'].map((name) => ({ name, counters: { memory: { value: '1' } } })) })
  device('attributes', {
    attributes: { model: { string: 'x' }, 'a.example.com/b': { int: 1 }, c: { bool: false }, d: { version: '1.2.3' } },
  })
  device('two values', { attributes: { model: { string: 'x', int: 1 } } })
  device('bad version', { attributes: { v: { version: '1.2' } } })
  device('long value', { attributes: { v: { string: 'x'.repeat(65) } } })
  device('bad identifier', { attributes: { '9': { int: 1 } } })
  device('long identifier', { attributes: { ['x'.repeat(33)]: { int: 1 } } })
  device('no domain', { attributes: { '/x': { int: 1 } } })
  device('only a domain', { attributes: { 'a.example.com/': { int: 1 } } })
  device('list of values', { attributes: { v: { ints: [1, 2] } } })
  device('many attributes', { attributes: Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`a${index}`, { int: index }])) })
  device('capacity', { capacity: { memory: { value: '8Gi' } } })
  device('policy without sharing', { capacity: { memory: { value: '8Gi', requestPolicy: {} } } })
  const policy = (label: string, requestPolicy: JsonObject): void =>
    device(label, { allowMultipleAllocations: true, capacity: { memory: { value: '8Gi', requestPolicy } } })
  policy('values', { default: '1Gi', validValues: ['1Gi', '2Gi'] })
  policy('no default', { validValues: ['1Gi'] })
  policy('other default', { default: '3Gi', validValues: ['1Gi', '2Gi'] })
  policy('unsorted', { default: '1Gi', validValues: ['2Gi', '1Gi', '1Gi'] })
  policy('too large', { default: '1Gi', validValues: ['1Gi', '16Gi'] })
  policy('range', { default: '1Gi', validRange: { min: '1Gi', max: '5Gi', step: '2Gi' } })
  policy('bad range', { default: '9Gi', validRange: { min: '10Gi', max: '4Gi', step: '3Gi' } })
  policy('no least', { default: '1Gi', validRange: { max: '4Gi' } })
  policy('both', { default: '1Gi', validValues: ['1Gi'], validRange: { min: '1Gi' } })
  device('taints', { taints: [{ key: 'k', effect: 'NoSchedule' }] })
  device('bad taints', { taints: [{ key: 'bad key', value: 'bad value', effect: 'Other' }] })
  device('no effect', { taints: [{ key: 'k' }] })
  device('consumed', { consumesCounters: [{ counterSet: 'c', counters: { memory: { value: '1' } } }] })
  device('badly consumed', {
    consumesCounters: [
      { counterSet: '', counters: {} },
      { counterSet: 'Bad Value!', counters: { a: { value: '1' } } },
    ],
  })
  device('own node', { nodeName: 'n' })
  device('own nodes', { nodeName: 'n' }, { nodeName: undefined, perDeviceNodeSelection: true })
  device('no own nodes', {}, { nodeName: undefined, perDeviceNodeSelection: true })
  device('two own nodes', { nodeName: 'n', allNodes: true }, { nodeName: undefined, perDeviceNodeSelection: true })
  device('bad own nodes', { nodeName: '', allNodes: false }, { nodeName: undefined, perDeviceNodeSelection: true })
  device('conditions', { bindsToNode: true, bindingConditions: ['a'], bindingFailureConditions: ['b'] })
  device('bad conditions', { bindingConditions: ['a', 'a', 'bad key'], bindingFailureConditions: ['a', 'b', 'b'] })
  device('no failures', { bindingConditions: ['a'] })
  device('only failures', { bindingFailureConditions: ['a'] })
  device('mappings', { capacity: { memory: { value: '8Gi' } }, nodeAllocatableResourceMappings: { memory: { capacityKey: 'memory' } } })
  ask('repeated', { devices: [{ name: 'a' }, { name: 'a' }] })
  ask('many', { devices: Array.from({ length: 129 }, (_, index) => ({ name: `d${index}` })) })
  ask('devices and counters', { devices: [{ name: 'a' }], sharedCounters: [{ name: 'c', counters: { memory: { value: '1' } } }] })
  return built.build()
}

export const devices: Area = { name: 'devices', cases: [classes(), claims(), slices()] }
