import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createCriClient, type CriClient } from '@k3s/cri-client'
import { vi } from 'vitest'

const run = promisify(execFile)

/** Set to test with another containerd than the system's: a directory that has it, its shim and `ctr`. */
const directoryOfAnother = process.env['TEST_CONTAINERD_DIRECTORY']
const env = {
  PATH: `${directoryOfAnother === undefined ? '' : `${directoryOfAnother}:`}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
}

/** What every test container runs; also the sandbox image. */
export const busybox = 'registry.local/busybox:test'

export interface TestContainerd extends AsyncDisposable {
  readonly client: CriClient
  /** For logs; removed at the end. */
  readonly directory: string
  readonly cgroupParent: string
}

/**
 * A containerd of the test's own, with a busybox image. It lives in its own process and mount namespaces under a shell
 * that ends when our end of its input closes: when this process dies, however, shims and containers die with it.
 */
export async function startContainerd(): Promise<TestContainerd> {
  const directory = await mkdtemp('/tmp/cri-')
  const socket = join(directory, 'c.sock')
  const cgroupParent = `/cri-test-${process.pid}-${directory.slice(-6)}`
  const config = join(directory, 'config.toml')
  await writeFile(
    config,
    `version = 2
root = "${directory}/root"
state = "${directory}/state"
[grpc]
  address = "${socket}"
[ttrpc]
  address = "${socket}.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${busybox}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
`,
  )
  const script = `mount -t tmpfs tmpfs /run; containerd -c ${config} >${directory}/log 2>&1 & read -r _`
  const shell = spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env,
  })
  const exited = new Promise((resolve) => shell.once('exit', resolve))
  const client = createCriClient({ endpoint: socket })
  const dispose = async (): Promise<void> => {
    await client[Symbol.asyncDispose]()
    shell.stdin.end()
    await exited
    for (const controller of await readdir('/sys/fs/cgroup'))
      await vi.waitFor(
        () => run('sh', ['-c', `d=/sys/fs/cgroup/${controller}${cgroupParent}; [ ! -d $d ] || find $d -depth -type d -exec rmdir {} +`]),
        5000,
      )
    await rm(directory, { recursive: true, force: true })
  }
  try {
    await vi.waitFor(() => client.version(), { timeout: 20_000, interval: 50 })
    await run('ctr', ['-a', socket, '-n', 'k8s.io', 'images', 'import', await busyboxArchive(directory)], { env })
  } catch (error) {
    const log = await readFile(join(directory, 'log'), 'utf8').catch(() => '')
    await dispose()
    throw new Error(`Cannot start containerd for the test: ${log.slice(-2000)}`, { cause: error })
  }
  return { client, directory, cgroupParent, [Symbol.asyncDispose]: dispose }
}

/** A sandbox in the node's network and one container in it that is created, not started. */
export async function createPod(
  { client, directory, cgroupParent }: TestContainerd,
  name: string,
  options: { readonly command: readonly string[]; readonly tty?: boolean; readonly stdin?: boolean },
): Promise<{ readonly podSandboxId: string; readonly containerId: string; readonly logPath: string }> {
  const namespaceOptions = { network: 'NODE' } as const
  const sandboxConfig = {
    metadata: { name, uid: name, namespace: 'test', attempt: 0 },
    logDirectory: join(directory, 'logs', name),
    linux: { cgroupParent, securityContext: { namespaceOptions } },
  }
  await mkdir(sandboxConfig.logDirectory, { recursive: true })
  const { podSandboxId } = await client.runPodSandbox({ config: sandboxConfig })
  const { containerId } = await client.createContainer({
    podSandboxId,
    sandboxConfig,
    config: {
      metadata: { name: 'main' },
      image: { image: busybox },
      command: options.command,
      logPath: '0.log',
      tty: options.tty,
      stdin: options.stdin,
      linux: { securityContext: { namespaceOptions } },
    },
  })
  return { podSandboxId, containerId, logPath: join(sandboxConfig.logDirectory, '0.log') }
}

/** A docker archive of /bin/busybox and a link for each of its applets; by default it sleeps. */
async function busyboxArchive(directory: string): Promise<string> {
  const rootfs = join(directory, 'image', 'rootfs')
  await mkdir(join(rootfs, 'bin'), { recursive: true })
  await mkdir(join(rootfs, 'tmp'))
  await copyFile('/bin/busybox', join(rootfs, 'bin/busybox'))
  const { stdout } = await run('/bin/busybox', ['--list'])
  for (const applet of stdout.trim().split('\n')) if (applet !== 'busybox') await symlink('busybox', join(rootfs, 'bin', applet))
  const image = join(directory, 'image')
  await run('tar', ['-C', rootfs, '-cf', join(image, 'layer.tar'), '.'])
  const layer = await sha256(join(image, 'layer.tar'))
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : 'arm64',
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: ['/bin/sleep', '1000000'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
  }
  await writeFile(join(image, 'config'), JSON.stringify(config))
  const configName = `${await sha256(join(image, 'config'))}.json`
  await rename(join(image, 'config'), join(image, configName))
  await writeFile(join(image, 'manifest.json'), JSON.stringify([{ Config: configName, RepoTags: [busybox], Layers: ['layer.tar'] }]))
  await run('tar', ['-C', image, '-cf', join(directory, 'image.tar'), configName, 'layer.tar', 'manifest.json'])
  return join(directory, 'image.tar')
}

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}
