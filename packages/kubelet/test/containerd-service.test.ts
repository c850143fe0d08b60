import { execFile } from 'node:child_process'
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { beforeAll, afterAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { startFakeCri } from '@k3s/cri-client/fake'
import { systemClock } from '@k3s/lifecycle'
import { defaultPauseImage, stopContainerd } from '../src/containerd/service.ts'
import { busybox, busyboxArchive, createHost, kill, type ContainerdHost } from './containerd-host.ts'
import { startRegistry } from './containerd-registry.ts'

const run = promisify(execFile)
const forever = ['/bin/sleep', '1000000']

describe('a managed containerd', () => {
  let host: ContainerdHost
  beforeAll(async () => {
    host = await createHost()
    await mkdir(join(host.directory, 'images'))
    await writeFile(join(host.directory, 'images/busybox.tar.zst'), zstdCompressSync(await busyboxArchive()))
    await writeFile(join(host.directory, 'images/other.tgz'), gzipSync(await busyboxArchive('registry.local/other:test')))
    await writeFile(join(host.directory, 'images/broken.tar'), 'not an archive')
  })
  afterAll(() => host[Symbol.asyncDispose]())

  test('starts with the images of the directory and the built-in pause image', async () => {
    const service = await host.start()
    const tags = (await host.client.listImages()).images.flatMap(({ repoTags }) => repoTags)
    expect(tags.toSorted()).toEqual([`docker.io/${defaultPauseImage}`, busybox, 'registry.local/other:test'].toSorted())
    expect(service.logged).toContainEqual(expect.stringMatching(/^Cannot import images: Cannot images import: .*/))
    const { stdout } = await run('ctr', ['-a', join(host.directory, 'state/c.sock'), '-n', 'k8s.io', 'images', 'ls', `name==${busybox}`])
    expect(stdout).toContain('io.cri-containerd.pinned=pinned')
    await service.stop()
  })

  test('outlives the service and is adopted by the next', async () => {
    const pid = await host.pid()
    expect(await readFile(`/proc/${pid}/comm`, 'utf8')).toBe('containerd\n')
    const service = await host.start()
    expect(await host.pid()).toBe(pid)
    expect(service.logged).toEqual(['Adopted running containerd'])
    await service.stop()
  })

  test('is started again when it dies, and its pods live on', async () => {
    const service = await host.start()
    const { podSandboxId, containerId } = await host.runPod('survivor', forever)
    const before = await host.client.containerStatus({ containerId })
    const pid = await host.pid()
    await kill(pid, 'SIGKILL')
    await vi.waitFor(async () => expect((await host.client.version()).runtimeName).toBe('containerd'), 20_000)
    expect(await host.pid()).not.toBe(pid)
    expect(service.logged).toContain('containerd died and is started again')
    const { status } = await host.client.containerStatus({ containerId })
    expect(status).toMatchObject({ state: 'CONTAINER_RUNNING', startedAt: before.status?.startedAt })
    await service.stop()
    expect((await host.client.podSandboxStatus({ podSandboxId })).status?.state).toBe('SANDBOX_READY')
  })

  test('is restarted by the next service when its configuration has changed, and its pods live on', async () => {
    const pid = await host.pid()
    const service = await host.start({ runtimes: [{ name: 'other', type: 'io.containerd.runc.v2' }] })
    expect(await host.pid()).not.toBe(pid)
    const { containers } = await host.client.listContainers()
    expect(containers.map(({ state }) => state)).toEqual(['CONTAINER_RUNNING'])
    await service.stop()
  })

  test('the pause program reaps orphans and ends on SIGTERM', async () => {
    const service = await host.start()
    const { client } = host
    const { podSandboxId, containerId } = await host.runPod('paused', ['/bin/sh', '-c', '(sleep 0.1 &); exec sleep 1000000'])
    const { info } = await client.podSandboxStatus({ podSandboxId, verbose: true })
    const { pid } = JSON.parse(info['info'] ?? '{}') as { readonly pid: number }
    const processes = async (): Promise<string> => {
      const { stdout } = await client.execSync({ containerId, cmd: ['ps', '-o', 'pid,ppid,stat,args'] })
      return Buffer.from(stdout).toString()
    }
    await vi.waitFor(async () => expect(await processes()).not.toMatch(/sleep 0.1|\bZ\b/), 10_000)
    expect(await processes()).toMatch(/^ *1 +0 \S+ +\/pause$/m)
    process.kill(pid, 'SIGTERM')
    await vi.waitFor(async () => expect((await client.podSandboxStatus({ podSandboxId })).status?.state).toBe('SANDBOX_NOTREADY'), 1000)
    await service.stop()
  })

  test('images are pulled through the mirrors and with the credentials of the registries', async () => {
    const registry = await startRegistry('library/thing', 'user:secret')
    onTestFinished(() => registry.close())
    const service = await host.start({
      registries: {
        mirrors: { 'docker.io': { endpoint: ['http://127.0.0.1:1', `http://127.0.0.1:${registry.port}`] } },
        configs: { [`127.0.0.1:${registry.port}`]: { auth: { username: 'user', password: 'secret' } } },
      },
    })
    const { client } = host
    await client.pullImage({ image: { image: 'thing:1' } }, { timeoutMs: 30_000 })
    const { image } = await client.imageStatus({ image: { image: 'docker.io/library/thing:1' } })
    expect(image?.repoTags).toEqual(['docker.io/library/thing:1'])
    expect(registry.requests).toContain('/v2/library/thing/manifests/1?ns=docker.io')
    await service.stop()
  })

  test('stopContainerd() ends it, and only it', async () => {
    const pid = await host.pid()
    const paths = { state: join(host.directory, 'state') }
    expect(await stopContainerd(paths)).toBe(true)
    expect(await stopContainerd(paths)).toBe(false)
    await expect(host.client.version()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const service = await host.start()
    expect(await host.pid()).not.toBe(pid)
    expect((await host.client.listContainers({ filter: { state: { state: 'CONTAINER_RUNNING' } } })).containers.length).toBeGreaterThan(0)
    await service.stop()
  })

  test('archives that come later are imported and a removed pause image comes back', async () => {
    const impatient = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 100), signal) }
    const service = await host.start({ clock: impatient })
    const { client } = host
    const isThere = async (image: string): Promise<boolean> => (await client.imageStatus({ image: { image } })).image !== undefined
    const archive = join(host.directory, 'images/later.tar')
    await writeFile(archive, await busyboxArchive('registry.local/later:test'))
    await utimes(archive, 0, 0)
    await client.removeImage({ image: { image: defaultPauseImage } })
    expect(await isThere(defaultPauseImage)).toBe(false)
    await vi.waitFor(async () => expect(await isThere('registry.local/later:test')).toBe(true), 20_000)
    await vi.waitFor(async () => expect(await isThere(defaultPauseImage)).toBe(true), 20_000)
    await service.stop()
  })

  test('takes another streaming port when somebody has its own, and keeps it', async () => {
    const somebody = createServer()
    await new Promise<void>((resolve) => somebody.listen(0, '127.0.0.1', resolve))
    const { port: streamingPort } = somebody.address() as AddressInfo
    const first = await host.start({ streamingPort })
    const pid = await host.pid()
    const { containerId } = await host.runPod('streamed', forever)
    const { url } = await host.client.exec({ containerId, cmd: ['true'], stdout: true })
    expect(new URL(url).port).not.toBe(String(streamingPort))
    await first.stop()
    await new Promise((resolve) => somebody.close(resolve))
    const second = await host.start({ streamingPort })
    expect([await host.pid(), second.logged]).toEqual([pid, ['Adopted running containerd']])
    await second.stop()
    // Back to what the tests after this one start with.
    await (await host.start()).stop()
  })

  test('is adopted also when its pid file was lost', async () => {
    const pid = await host.pid()
    const record = join(host.directory, 'state/k3s-containerd.json')
    const text = await readFile(record, 'utf8')
    for (const lost of ['', JSON.stringify({ ...JSON.parse(text), startTime: '1' })]) {
      await writeFile(record, lost)
      const service = await host.start()
      expect(service.logged).toEqual(['Adopted running containerd'])
      expect([await host.pid(), await readFile(record, 'utf8')]).toEqual([pid, text])
      await service.stop()
    }
  })
})

test('a runtime that we did not start is left alone', async () => {
  const host = await createHost()
  onTestFinished(() => host[Symbol.asyncDispose]())
  await mkdir(join(host.directory, 'state'))
  const foreign = await startFakeCri({ socketPath: join(host.directory, 'state/c.sock') })
  onTestFinished(() => foreign[Symbol.asyncDispose]())
  await expect(host.start()).rejects.toThrow(/another one, which we did not start/)
})

test('a containerd without CRI shows its log', async () => {
  const host = await createHost()
  onTestFinished(() => host[Symbol.asyncDispose]())
  await expect(host.start({ snapshotter: 'nonexistent' })).rejects.toThrow(/has no CRI plugin; its log says why:\n.*/)
  const pid = await host.pid()
  await vi.waitFor(() => expect(readFile(`/proc/${pid}/comm`, 'utf8')).rejects.toThrow('no such file'), 5000)
})

test('a missing program is named with its package', async () => {
  const host = await createHost()
  onTestFinished(() => host[Symbol.asyncDispose]())
  await expect(host.start({ binaryDirectories: [host.directory] })).rejects.toThrow(
    /Cannot find program "containerd" in .*: install the package "containerd"/,
  )
})

test('a socket path that is too long is refused before anything is done', async () => {
  const host = await createHost()
  onTestFinished(() => host[Symbol.asyncDispose]())
  const socket = `/tmp/${'x'.repeat(100)}/c.sock`
  const paths = { root: '/nowhere', state: '/nowhere', socket, config: '/nowhere/c', log: '/nowhere/l' }
  await expect(host.start({ paths })).rejects.toThrow(/longer than 101 bytes/)
})

test('a containerd that dies at once shows its last words', async () => {
  const host = await createHost()
  onTestFinished(() => host[Symbol.asyncDispose]())
  await expect(host.start({ template: '{{ template "base" . }}\nthis is no toml' })).rejects.toThrow(/died at once:\n.*toml/i)
})
