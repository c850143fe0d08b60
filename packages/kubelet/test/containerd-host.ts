import { createHash } from 'node:crypto'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createCriClient, type CriClient } from '@k3s/cri-client'
import type { LogFields, Logger } from '@k3s/lifecycle'
import { expect, vi } from 'vitest'
import { defaultBinaryDirectories } from '../src/containerd/binaries.ts'
import { createContainerdService, type ContainerdOptions } from '../src/containerd/service.ts'
import { writeTar, type TarEntry } from '../src/containerd/tar.ts'

const run = promisify(execFile)

/** Set to test with another containerd than the system's: a directory that has it, its shim and `ctr`. */
const directoryOfAnother = process.env['TEST_CONTAINERD_DIRECTORY']
const binaryDirectories = [...(directoryOfAnother === undefined ? [] : [directoryOfAnother]), ...defaultBinaryDirectories]

export const busybox = 'registry.local/busybox:test'

/** The service, running, until `stop`. */
export interface RunningService {
  readonly logged: readonly string[]
  stop(): Promise<void>
}

/** Directories of one containerd, and what runs in it. */
export interface ContainerdHost extends AsyncDisposable {
  readonly directory: string
  readonly client: CriClient
  /** Resolves when the service is ready; rejects when it fails before. */
  start(options?: Partial<ContainerdOptions>): Promise<RunningService>
  /** Of the containerd that was started last. */
  pid(): Promise<number>
  /** A sandbox in the node's network with one running container. */
  runPod(name: string, command: readonly string[], options?: { readonly tty?: boolean; readonly stdin?: boolean }): Promise<Pod>
}

export interface Pod {
  readonly podSandboxId: string
  readonly containerId: string
}

/** At its end no pod, process, mount, control group or file is left. */
export async function createHost(): Promise<ContainerdHost> {
  const directory = await mkdtemp('/tmp/kc-')
  const paths = {
    root: join(directory, 'root'),
    state: join(directory, 'state'),
    socket: join(directory, 'state/c.sock'),
    config: join(directory, 'etc/containerd/config.toml'),
    log: join(directory, 'containerd.log'),
  }
  const cgroupParent = `/kubelet-test-${directory.slice(-6)}`
  const client = createCriClient({ endpoint: paths.socket })
  const streamingPort = await freePort()
  const running = new Set<RunningService>()

  const pid = async (): Promise<number> => JSON.parse(await readFile(join(paths.state, 'k3s-containerd.json'), 'utf8')).pid as number

  return {
    directory,
    client,
    pid,
    async start(options = {}) {
      const stop = new AbortController()
      const ready = Promise.withResolvers<void>()
      const logged: string[] = []
      const service = createContainerdService({
        paths,
        cniBinaryDirectories: ['/usr/lib/cni'],
        cniConfigDirectory: join(directory, 'etc/cni/net.d'),
        imagesDirectory: join(directory, 'images'),
        streamingPort,
        binaryDirectories,
        logger: recordingLogger(logged),
        ...options,
      })
      const ended = service.run({ signal: stop.signal, ready: ready.resolve })
      await Promise.race([ready.promise, ended])
      const handle = {
        logged,
        async stop() {
          running.delete(handle)
          stop.abort(new Error('Test stops the service'))
          await ended
        },
      }
      running.add(handle)
      return handle
    },
    async runPod(name, command, { tty, stdin } = {}) {
      const linux = { securityContext: { namespaceOptions: { network: 'NODE' } } } as const
      const sandboxConfig = {
        metadata: { name, uid: name, namespace: 'test', attempt: 0 },
        logDirectory: join(directory, 'logs', name),
        linux: { ...linux, cgroupParent },
      }
      await mkdir(sandboxConfig.logDirectory, { recursive: true })
      const { podSandboxId } = await client.runPodSandbox({ config: sandboxConfig })
      const { containerId } = await client.createContainer({
        podSandboxId,
        sandboxConfig,
        config: { metadata: { name: 'main' }, image: { image: busybox }, command, logPath: '0.log', tty, stdin, linux },
      })
      await client.startContainer({ containerId })
      return { podSandboxId, containerId }
    },
    async [Symbol.asyncDispose]() {
      for (const service of running) await service.stop()
      // containerd may be down by a test's own doing: then there is nothing to remove by its hand.
      const { items } = await client.listPodSandbox().catch(() => ({ items: [] }))
      for (const { id } of items) await client.removePodSandbox({ podSandboxId: id })
      // A shim ends shortly after its sandbox, by containerd's word: not after containerd. One that stays (containerd
      // 2.2, when it was restarted at that moment) is ended by its signal, so that it removes its socket in /run/containerd/s.
      const isEmpty = async (): Promise<void> => expect(await shims(paths.socket)).toEqual([])
      await vi.waitFor(isEmpty, 10_000).catch(() => {})
      for (const shim of await shims(paths.socket)) await kill(shim)
      await client[Symbol.asyncDispose]()
      const last = await pid().catch(() => undefined)
      if (last !== undefined) await kill(last)
      for (const controller of await readdir('/sys/fs/cgroup')) {
        const group = `/sys/fs/cgroup/${controller}${cgroupParent}`
        await vi.waitFor(() => run('sh', ['-c', `[ ! -d ${group} ] || find ${group} -depth -type d -exec rmdir {} +`]), 5000)
      }
      const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
      for (const mount of mounts.toReversed()) if (mount.startsWith(`${directory}/`)) await run('umount', [mount])
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The shims that belong to the containerd of a socket. */
async function shims(socket: string): Promise<number[]> {
  const found: number[] = []
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    if (command.includes('containerd-shim') && command.includes(socket)) found.push(Number(pid))
  }
  return found
}

/** Ends a process by its pid and waits until it is gone. */
export async function kill(pid: number, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  try {
    process.kill(pid, signal)
  } catch {
    return // gone already
  }
  await vi.waitFor(() => run('sh', ['-c', `! kill -0 ${pid} 2>/dev/null || grep -q '^State:\tZ' /proc/${pid}/status`]), 10_000)
}

/** A docker archive of /bin/busybox and a link for each of its applets. */
export async function busyboxArchive(reference: string = busybox): Promise<Buffer> {
  const { stdout } = await run('/bin/busybox', ['--list'])
  const applets = stdout.split('\n').filter((name) => name !== '' && name !== 'busybox')
  const links = applets.map((name): TarEntry => ({ name: `bin/${name}`, content: { linkTo: 'busybox' }, mode: 0o777 }))
  const layer = writeTar([{ name: 'bin/busybox', content: await readFile('/bin/busybox'), mode: 0o755 }, ...links])
  const architecture = process.arch === 'x64' ? 'amd64' : 'arm64'
  const rootfs = { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] }
  const config = Buffer.from(JSON.stringify({ architecture, os: 'linux', config: { Env: ['PATH=/bin'] }, rootfs }))
  const manifest = [{ Config: 'config.json', RepoTags: [reference], Layers: ['layer.tar'] }]
  return writeTar([
    { name: 'config.json', content: config },
    { name: 'layer.tar', content: layer },
    { name: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)) },
  ])
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

function recordingLogger(lines: string[]): Logger {
  const add = (fields: LogFields, message: string): void => {
    lines.push(fields['err'] instanceof Error ? `${message}: ${fields['err'].message}` : message)
  }
  const logger: Logger = { debug() {}, info: add, warn: add, error: add, child: () => logger }
  return logger
}
