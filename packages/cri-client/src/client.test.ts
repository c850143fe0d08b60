import { FakeClock } from '@k3s/lifecycle'
import { expect, test, vi } from 'vitest'
import { createCriClient, isCriError, type ContainerEventResponse, type CriClient } from './index.ts'
import { startFakeCri, type FakeCri, type FakeCriOptions } from './fake/index.ts'

const sandboxConfig = {
  metadata: { name: 'web', uid: 'u1', namespace: 'default', attempt: 0 },
  labels: { app: 'web' },
  logDirectory: '/nowhere',
}

async function connect(options: FakeCriOptions = {}): Promise<AsyncDisposable & { readonly fake: FakeCri; readonly client: CriClient }> {
  const fake = await startFakeCri({ images: ['busybox'], ...options })
  const client = createCriClient({ endpoint: fake.endpoint })
  return {
    fake,
    client,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await fake[Symbol.asyncDispose]()
    },
  }
}

test('a sandbox and a container go through their states', async () => {
  await using setup = await connect()
  const { client } = setup
  const { podSandboxId } = await client.runPodSandbox({ config: sandboxConfig })
  const { containerId } = await client.createContainer({
    podSandboxId,
    config: { metadata: { name: 'c' }, image: { image: 'busybox' } },
    sandboxConfig,
  })
  expect((await client.containerStatus({ containerId })).status?.state).toBe('CONTAINER_CREATED')
  await client.startContainer({ containerId })
  const listed = await client.listContainers({ filter: { podSandboxId, state: { state: 'CONTAINER_RUNNING' } } })
  expect(listed.containers.map(({ id, podSandboxId }) => ({ id, podSandboxId }))).toEqual([{ id: containerId, podSandboxId }])
  await client.stopContainer({ containerId, timeout: 1 })
  const { status } = await client.containerStatus({ containerId })
  expect(status).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 143, reason: 'Error' })
  await client.removePodSandbox({ podSandboxId })
  expect(await client.listPodSandbox()).toEqual({ items: [] })
})

test('a failed call rejects with the code and the words of the runtime', async () => {
  await using setup = await connect()
  const error = await setup.client.createContainer({ podSandboxId: 'x', config: { metadata: { name: 'c' } } }).catch((e: unknown) => e)
  if (!isCriError(error, 'NOT_FOUND')) throw error
  expect(error.details).toBe('failed to resolve image "": not found')
  expect(error.message).toBe('CreateContainer failed: failed to resolve image "": not found')
})

test('a request of a wrong type is refused before it is sent', async () => {
  await using setup = await connect()
  await expect(setup.client.stopContainer({ containerId: 'x', timeout: 1.5 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(setup.fake.calls).toEqual([])
})

test('an endpoint that is no Unix socket is refused', () => {
  expect(() => createCriClient({ endpoint: 'tcp://127.0.0.1:1' })).toThrow(/Invalid runtime endpoint/)
})

test('a timeout ends a call that hangs', async () => {
  await using setup = await connect()
  const release = setup.fake.hold('Version')
  await expect(setup.client.version({}, { timeoutMs: 20 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  release()
})

test('an abort rejects with the reason of the signal and ends the call at the server', async () => {
  await using setup = await connect()
  const release = setup.fake.hold('Version')
  const stop = new AbortController()
  const call = setup.client.version({}, { signal: stop.signal })
  await vi.waitFor(() => expect(setup.fake.calls.length).toBe(1))
  stop.abort(new Error('enough'))
  await expect(call).rejects.toThrow('enough')
  await expect(setup.client.version({}, { signal: stop.signal })).rejects.toThrow('enough')
  release()
})

test('calls fail as UNAVAILABLE while the runtime is away and work when it is back', async () => {
  await using setup = await connect()
  const { client, fake } = setup
  await client.version()
  const release = fake.hold('Status')
  const cut = client.status()
  await vi.waitFor(() => expect(fake.calls.length).toBe(2))
  const [, result] = await Promise.all([fake.stop(), cut.catch((error: unknown) => error)])
  release()
  expect(result).toMatchObject({ code: 'UNAVAILABLE' })
  await expect(client.version()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('ENOENT') })
  await fake.start()
  expect((await client.version()).runtimeName).toBe('fake')
})

test('a closed client refuses calls', async () => {
  await using setup = await connect()
  await setup.client.version()
  await setup.client[Symbol.asyncDispose]()
  await setup.client[Symbol.asyncDispose]()
  await expect(setup.client.version()).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('closed') })
})

test('many calls at once each get their own answer', async () => {
  await using setup = await connect()
  const { client } = setup
  const ids = await Promise.all(
    Array.from({ length: 50 }, async (_, n) => {
      const config = { ...sandboxConfig, metadata: { ...sandboxConfig.metadata, uid: `u${n}` } }
      const { podSandboxId } = await client.runPodSandbox({ config })
      return [(await client.podSandboxStatus({ podSandboxId })).status?.metadata?.uid, `u${n}`]
    }),
  )
  for (const [uid, wanted] of ids) expect(uid).toBe(wanted)
})

test('execSync carries bytes above the usual gRPC limit of 4 MiB', async () => {
  const big = 'x'.repeat(5 * 1024 * 1024)
  await using setup = await connect({ script: () => ({ exec: () => ({ exitCode: 3, stdout: big }) }) })
  const { podSandboxId } = await setup.client.runPodSandbox({ config: sandboxConfig })
  const { containerId } = await setup.client.createContainer({
    podSandboxId,
    config: { metadata: { name: 'c' }, image: { image: 'busybox' } },
  })
  await setup.client.startContainer({ containerId })
  const { exitCode, stdout } = await setup.client.execSync({ containerId, cmd: ['big'] })
  expect([exitCode, stdout.length]).toEqual([3, big.length])
})

test('events come in order and end with the signal', async () => {
  const clock = new FakeClock(1_700_000_000_000)
  await using setup = await connect({ clock, script: () => ({ exitAfterMs: 1000, exitCode: 7 }) })
  const { client, fake } = setup
  expect(await client.supportsEvents()).toBe(true)
  const stop = new AbortController()
  const events: ContainerEventResponse[] = []
  const calls = fake.calls.length
  const ended = (async () => {
    for await (const event of client.containerEvents({ signal: stop.signal })) events.push(event)
  })().catch((error: unknown) => error)
  await vi.waitFor(() => expect(fake.calls.length).toBe(calls + 1))
  const { podSandboxId } = await client.runPodSandbox({ config: sandboxConfig })
  const { containerId } = await client.createContainer({
    podSandboxId,
    config: { metadata: { name: 'c' }, image: { image: 'busybox' } },
  })
  await client.startContainer({ containerId })
  await clock.advance(1000)
  await vi.waitFor(() => expect(events.length).toBe(5))
  expect(events.map(({ containerEventType: type, containerId: id }) => `${id === containerId ? 'container' : 'sandbox'} ${type}`)).toEqual([
    'sandbox CONTAINER_CREATED_EVENT',
    'sandbox CONTAINER_STARTED_EVENT',
    'container CONTAINER_CREATED_EVENT',
    'container CONTAINER_STARTED_EVENT',
    'container CONTAINER_STOPPED_EVENT',
  ])
  expect(events.at(-1)?.containersStatuses[0]).toMatchObject({ exitCode: 7, finishedAt: 1_700_000_001_000_000_000 })
  stop.abort(new Error('enough'))
  expect(await ended).toMatchObject({ message: 'enough' })
})

test('a runtime without events says so', async () => {
  await using setup = await connect({ events: false })
  expect(await setup.client.supportsEvents()).toBe(false)
  const first = setup.client.containerEvents()[Symbol.asyncIterator]().next()
  await expect(first).rejects.toMatchObject({ code: 'UNIMPLEMENTED' })
})
