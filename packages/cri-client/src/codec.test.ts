import { loadPackageDefinition, credentials, type GrpcObject, type ServiceClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { Codec } from './codec.ts'
import { startFakeCri } from './fake/index.ts'
import { enums, messages } from './generated/schema.ts'

const codec = new Codec({ messages, enums })
const roundTrip = (type: string, value: unknown): unknown => codec.decode(type, codec.encode(type, value))

// Another implementation, which reads the same proto file, as the oracle.
const options = { longs: Number, enums: String, defaults: true }
const oracle = loadSync(fileURLToPath(new URL('../proto/cri.proto', import.meta.url)), options)

test('what is not given comes back as its default, messages not at all', () => {
  expect(roundTrip('ImageSpec', {})).toEqual({ image: '', annotations: {}, userSpecifiedImage: '', runtimeHandler: '', imageRef: '' })
  expect(roundTrip('PodSandboxStateValue', {})).toEqual({ state: 'SANDBOX_READY' })
  expect(roundTrip('CreateContainerRequest', {})).toEqual({ podSandboxId: '' })
  expect(roundTrip('ListContainersResponse', {})).toEqual({ containers: [] })
})

test('an empty message differs from none', () => {
  expect(roundTrip('CreateContainerRequest', { config: undefined })).not.toHaveProperty('config')
  expect(roundTrip('PodSandboxFilter', { state: {} })).toMatchObject({ state: { state: 'SANDBOX_READY' } })
})

test.each([
  ['int64', 0],
  ['int64', 1],
  ['int64', -1],
  ['int64', 2 ** 31],
  ['int64', Number.MAX_SAFE_INTEGER],
  ['int64', Number.MIN_SAFE_INTEGER],
  ['int64', -(2 ** 63)],
  ['int64', 1_795_455_156_461_281_280],
])('%s %d keeps its value', (_type, value) => {
  expect(roundTrip('Int64Value', { value })).toEqual({ value })
})

test('an unsigned number above 2^63 stays positive', () => {
  expect(roundTrip('UInt64Value', { value: 2 ** 63 + 2 ** 20 })).toEqual({ value: 2 ** 63 + 2 ** 20 })
})

test.each([
  ['UInt64Value', { value: -1 }],
  ['Int64Value', { value: 2 ** 63 }],
  ['Int64Value', { value: 0.5 }],
  ['Int64Value', { value: Number.NaN }],
  ['PodSandboxStateValue', { state: 'READY' }],
  ['PodSandboxStateValue', { state: 'UNRECOGNIZED' }],
])('%s cannot hold %o', (type, value) => {
  expect(() => codec.encode(type, value)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})

test('an enum value of a newer runtime is UNRECOGNIZED', () => {
  expect(codec.decode('ContainerStateValue', Buffer.from([0x08, 99]))).toEqual({ state: 'UNRECOGNIZED' })
})

test('fields of a newer runtime are skipped, whatever their wire type', () => {
  const unknown = [0xf8, 0x07, 1, 0xf9, 0x07, ...Array<number>(8).fill(0), 0xfa, 0x07, 1, 65, 0xfd, 0x07, 0, 0, 0, 0]
  const known = codec.encode('PodIP', { ip: '10.0.0.1' })
  expect(codec.decode('PodIP', Buffer.concat([Buffer.from(unknown), known]))).toEqual({ ip: '10.0.0.1' })
})

test.each([[[0x0a, 5, 65]], [[0x0a]], [[0x08, ...Array<number>(11).fill(0xff)]], [[0x0b, 0]]])('bytes %j are refused', (bytes) => {
  expect(() => codec.decode('PodIP', Buffer.from(bytes))).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
})

test('a label named __proto__ is a label', () => {
  const labels = JSON.parse('{"__proto__":"x"}') as Record<string, string>
  const decoded = roundTrip('PodSandboxConfig', { labels }) as { readonly labels: object } // by its type
  expect(Object.entries(decoded.labels)).toEqual([['__proto__', 'x']])
})

test('repeated numbers are read packed and one by one', () => {
  const packed = codec.encode('LinuxContainerUser', { supplementalGroups: [1, 300, 70_000] })
  expect(codec.decode('LinuxContainerUser', packed)).toEqual({ uid: 0, gid: 0, supplementalGroups: [1, 300, 70_000] })
  expect(codec.decode('LinuxContainerUser', Buffer.from([0x18, 1, 0x18, 2]))).toMatchObject({ supplementalGroups: [1, 2] })
})

const container = {
  metadata: { name: 'main', attempt: 3 },
  image: { image: 'busybox', annotations: { a: 'b', '': '' } },
  command: ['sh', '', '-c'],
  envs: [{ key: 'K', value: Buffer.from([0, 255]) }, { key: 'EMPTY' }],
  mounts: [{ containerPath: '/c', hostPath: '/h', propagation: 'PROPAGATION_BIDIRECTIONAL', uidMappings: [{ hostId: 4_294_967_295 }] }],
  stopSignal: 'SIGRTMAX',
  linux: {
    resources: { cpuQuota: -1, memoryLimitInBytes: 2 ** 40, oomScoreAdj: -997, unified: { 'memory.high': '1' } },
    securityContext: { runAsUser: {}, supplementalGroups: [1000, 0], namespaceOptions: { pid: 'TARGET', targetId: 't' } },
  },
}
const stats = {
  cpu: { usageCoreNanoSeconds: { value: 2 ** 60 }, psi: { full: { total: 7, avg10: 0.25, avg300: 1e-9 } } },
}

test.each([
  ['CreateContainerRequest', '/runtime.v1.RuntimeService/CreateContainer', { podSandboxId: 's', config: container }],
  ['ContainerStatsResponse', '/runtime.v1.RuntimeService/ContainerStats', { stats }],
])('%s is the same for another implementation', (type, path, value) => {
  const [, service = '', method = ''] = path.slice(1).split(/[/]/).length === 2 ? ['', ...path.slice(1).split('/')] : []
  const definition = (oracle[service] as unknown as Record<string, Record<string, (input: unknown) => unknown>>)[method] // an untyped library
  const [serialize, deserialize] = type.endsWith('Request')
    ? ['requestSerialize', 'requestDeserialize']
    : ['responseSerialize', 'responseDeserialize']
  const ours = codec.encode(type, value)
  const theirs = definition?.[serialize]?.(value) as Buffer // what it is documented to give
  expect(codec.decode(type, theirs)).toEqual(codec.decode(type, ours))
  expect(definition?.[deserialize]?.(ours)).toEqual(definition?.[deserialize]?.(theirs))
})

test('the fake serves a gRPC client of another make', async () => {
  await using fake = await startFakeCri()
  const runtime = (loadPackageDefinition(oracle)['runtime'] as GrpcObject)['v1'] as GrpcObject // the proto's package
  const Service = runtime['RuntimeService'] as ServiceClientConstructor // a service of it
  const client = new Service(fake.endpoint, credentials.createInsecure())
  const call = (method: string, request: object): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const run = client[method] as (request: object, done: (error: Error | null, response: unknown) => void) => void // a unary call
      run.call(client, request, (error, response) => (error === null ? resolve(response) : reject(error)))
    })
  expect(await call('Version', {})).toMatchObject({ runtimeName: 'fake' })
  await expect(call('ContainerStatus', { containerId: 'ü' })).rejects.toThrow(
    '5 NOT_FOUND: an error occurred when try to find container "ü": not found',
  )
  client.close()
})
