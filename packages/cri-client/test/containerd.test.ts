import { rename } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { isCriError, openPortForward, openStreams, readContainerLogs } from '@k3s/cri-client'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createPod, startContainerd, type TestContainerd } from './containerd.ts'

let containerd: TestContainerd
beforeAll(async () => {
  containerd = await startContainerd()
})
afterAll(() => containerd[Symbol.asyncDispose]())

const forever = ['/bin/sleep', '1000000']

async function runPod(name: string, command: readonly string[] = forever, options = {}) {
  const pod = await createPod(containerd, name, { command, ...options })
  await containerd.client.startContainer({ containerId: pod.containerId })
  return pod
}

test('the runtime names itself and is ready', async () => {
  const { client } = containerd
  expect((await client.version()).runtimeName).toBe('containerd')
  const { status } = await client.status({ verbose: true })
  expect(status?.conditions.find(({ type }) => type === 'RuntimeReady')?.status).toBe(true)
  const { image } = await client.imageStatus({ image: { image: 'registry.local/busybox:test' } })
  expect(image?.repoTags).toEqual(['registry.local/busybox:test'])
  expect((await client.imageStatus({ image: { image: 'registry.local/none:1' } })).image).toBeUndefined()
})

test('exit codes, times and stats are told', async () => {
  const { client } = containerd
  const { containerId } = await runPod('exit', ['/bin/sh', '-c', 'exit 3'])
  await vi.waitFor(async () => expect((await client.containerStatus({ containerId })).status?.state).toBe('CONTAINER_EXITED'), 10_000)
  const { status } = await client.containerStatus({ containerId })
  expect(status).toMatchObject({ exitCode: 3, reason: 'Error', metadata: { name: 'main', attempt: 0 } })
  expect(Math.abs((status?.finishedAt ?? 0) / 1e6 - Date.now())).toBeLessThan(60_000)
  const running = await runPod('stats')
  const { stats } = await client.containerStats({ containerId: running.containerId })
  expect(stats?.memory?.workingSetBytes?.value).toBeGreaterThan(0)
})

test('execSync gives output, code and DEADLINE_EXCEEDED', async () => {
  const { client } = containerd
  const { containerId } = await runPod('exec-sync')
  const { stdout, stderr, exitCode } = await client.execSync({ containerId, cmd: ['sh', '-c', 'echo out; echo err >&2; exit 4'] })
  expect([Buffer.from(stdout).toString(), Buffer.from(stderr).toString(), exitCode]).toEqual(['out\n', 'err\n', 4])
  await expect(client.execSync({ containerId, cmd: ['sleep', '60'], timeout: 1 })).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
})

test('exec: end of input reaches the process, output and exit code come back', async () => {
  const { client } = containerd
  const { containerId } = await runPod('exec')
  const request = { containerId, cmd: ['sh', '-c', 'wc -c; echo problem >&2; exit 5'], stdin: true, stdout: true, stderr: true }
  const { url } = await client.exec(request)
  await using streams = await openStreams(url, request)
  const input = Buffer.alloc(3_000_000, 'x')
  streams.stdin?.end(input)
  const [out, err, status] = await Promise.all([
    text(streams.stdout ?? Readable.from([])),
    text(streams.stderr ?? Readable.from([])),
    streams.status,
  ])
  expect([out.trim(), err, status.isSuccess, status.exitCode]).toEqual(['3000000', 'problem\n', false, 5])
})

test('exec: a slow reader holds the process back and loses nothing', async () => {
  const { client } = containerd
  const { containerId } = await runPod('exec-slow')
  const request = { containerId, cmd: ['sh', '-c', 'head -c 20000000 /dev/zero'], stdout: true }
  const { url } = await client.exec(request)
  await using streams = await openStreams(url, request)
  let size = 0
  for await (const chunk of streams.stdout ?? []) {
    size += (chunk as Buffer).length
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect([size, (await streams.status).exitCode]).toEqual([20_000_000, 0])
})

test('exec with a terminal knows its size', async () => {
  const { client } = containerd
  const { containerId } = await runPod('exec-tty')
  const request = {
    containerId,
    cmd: ['sh', '-c', 'while [ "$(stty size 2>/dev/null)" != "33 77" ]; do sleep 0.05; done; stty size'],
    tty: true,
    stdin: true,
    stdout: true,
  }
  const { url } = await client.exec(request)
  await using streams = await openStreams(url, request)
  streams.resize(77, 33)
  expect((await text(streams.stdout ?? Readable.from([]))).trim()).toBe('33 77')
  expect((await streams.status).isSuccess).toBe(true)
})

test('a URL is good for one use', async () => {
  const { client } = containerd
  const { containerId } = await runPod('exec-once')
  const request = { containerId, cmd: ['true'], stdout: true }
  const { url } = await client.exec(request)
  await using streams = await openStreams(url, request)
  await text(streams.stdout ?? Readable.from([]))
  await expect(openStreams(url, request)).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('attach reads and writes the main process', async () => {
  const { client } = containerd
  const { containerId } = await runPod('attach', ['/bin/sh', '-c', 'while read line; do echo "got $line"; done'], { stdin: true })
  const request = { containerId, stdin: true, stdout: true, stderr: true }
  const { url } = await client.attach(request)
  await using streams = await openStreams(url, request)
  const { stdin, stdout, stderr } = streams
  stderr?.resume()
  stdin?.write('one\ntwo\n')
  let output = ''
  for await (const chunk of stdout ?? []) {
    output += String(chunk)
    if (output.endsWith('two\n')) break
  }
  expect(output).toBe('got one\ngot two\n')
})

test('streams break with UNAVAILABLE when the session is closed', async () => {
  const { client } = containerd
  const { containerId } = await runPod('exec-cut')
  const request = { containerId, cmd: ['sleep', '1000000'], stdin: true, stdout: true }
  const { url } = await client.exec(request)
  const streams = await openStreams(url, request)
  const status = streams.status.catch((error: unknown) => error)
  const output = text(streams.stdout ?? Readable.from([])).catch((error: unknown) => error)
  await streams[Symbol.asyncDispose]()
  expect(await status).toMatchObject({ code: 'UNAVAILABLE' })
  expect(await output).toMatchObject({ code: 'UNAVAILABLE' })
})

test('port-forward carries several connections, half-closed ones too, and names a refusal', async () => {
  const { client } = containerd
  const { podSandboxId } = await runPod('forward')
  const server = createServer((request, response) => response.end(`you asked for ${request.url}`))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const { url } = await client.portForward({ podSandboxId, port: [port] })
    await using forwarder = await openPortForward(url)
    const answers = await Promise.all(
      ['/a', '/b', '/c'].map(async (path) => {
        const { data, error } = await forwarder.connect(port)
        data.end(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
        return [(await text(data)).split('\r\n\r\n')[1], await error]
      }),
    )
    expect(answers.map(([body]) => body)).toEqual([
      expect.stringContaining('/a'),
      expect.stringContaining('/b'),
      expect.stringContaining('/c'),
    ])
    server.close()
    server.closeAllConnections()
    const refused = await forwarder.connect(port)
    expect(await text(refused.data)).toBe('')
    expect(await refused.error).toMatch(/refused/)
  } finally {
    server.close()
  }
})

test('logs are followed across a rotation until the container is dead', async () => {
  const { client } = containerd
  const command = ['/bin/sh', '-c', 'n=0; while [ $n -lt 200 ]; do echo line $n; n=$((n+1)); sleep 0.01; done']
  const { containerId, logPath } = await runPod('logs', command)
  const isRunning = async (): Promise<boolean> => (await client.containerStatus({ containerId })).status?.state === 'CONTAINER_RUNNING'
  let output = ''
  let rotations = 0
  for await (const chunk of readContainerLogs(logPath, { follow: true, isRunning })) {
    output += chunk.toString()
    if (output.length > 300 * (rotations + 1) && rotations < 3) {
      rotations++
      await rename(logPath, `${logPath}.20260101-00000${rotations}`)
      await client.reopenContainerLog({ containerId })
    }
  }
  const wanted = Array.from({ length: 200 }, (_, n) => `line ${n}\n`).join('')
  expect([rotations, output]).toEqual([3, wanted])
  expect(await text(readContainerLogs(logPath))).toBe(wanted)
  expect(await text(readContainerLogs(logPath, { tailLines: 199 }))).toBe(wanted.slice(7))
})

test('events tell of a container, or the runtime says that it has none', async () => {
  const { client } = containerd
  const stop = new AbortController()
  const seen: string[] = []
  const ended = (async () => {
    for await (const event of client.containerEvents({ signal: stop.signal })) seen.push(`${event.containerId} ${event.containerEventType}`)
  })().catch((error: unknown) => (isCriError(error) ? error.code : error))
  const isSupported = await client.supportsEvents()
  const { containerId } = await runPod('events', ['/bin/true'])
  const eventsOf = (): string[] => seen.filter((line) => line.startsWith(containerId))
  const wanted = isSupported ? ['CREATED', 'STARTED', 'STOPPED'].map((type) => `${containerId} CONTAINER_${type}_EVENT`) : []
  await vi.waitFor(() => expect(eventsOf()).toEqual(wanted), 10_000)
  const reason = new Error('enough')
  stop.abort(reason)
  expect(await ended).toBe(isSupported ? reason : 'UNIMPLEMENTED')
})
