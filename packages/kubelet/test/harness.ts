import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { namespaces, pods, type Event, events, type Pod, type PodSpec } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory, type ApiRequest } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { createCriClient } from '@k3s/cri-client'
import { startFakeCri, type FakeCri, type FakeCriOptions } from '@k3s/cri-client/fake'
import { runAll, type LogFields, type Logger } from '@k3s/lifecycle'
import { createKubelet, type CgroupManager, type KubeletOptions, type Mounter } from '@k3s/kubelet'

export const nodeName = 'node-1'

/** Cgroups that only remember what was made. */
export class FakeCgroups implements CgroupManager {
  readonly version = 2
  readonly groups: Set<string> = new Set()

  podCgroup(qos: string, uid: string): string {
    return `/kubepods/${qos.toLowerCase()}/pod${uid}`
  }
  runtimePath(cgroup: string): string {
    return cgroup
  }
  createBase(): Promise<void> {
    return Promise.resolve()
  }
  createPod(cgroup: string): Promise<void> {
    this.groups.add(cgroup)
    return Promise.resolve()
  }
  removePod(cgroup: string): Promise<void> {
    this.groups.delete(cgroup)
    return Promise.resolve()
  }
  podsPresent(): Promise<readonly string[]> {
    return Promise.resolve([...this.groups].map((group) => group.replace(/^.*\/pod/, '')))
  }
  usage(): Promise<undefined> {
    return Promise.resolve(undefined)
  }
}

/** Mounts that only remember what was mounted. */
export class FakeMounter implements Mounter {
  readonly mounts: string[] = []

  tmpfs(target: string): Promise<void> {
    this.mounts.push(target)
    return Promise.resolve()
  }
  bind(_source: string, target: string): Promise<void> {
    this.mounts.push(target)
    return Promise.resolve()
  }
  unmount(target: string): Promise<void> {
    this.mounts.splice(this.mounts.indexOf(target), 1)
    return Promise.resolve()
  }
  mountsUnder(directory: string): Promise<readonly string[]> {
    return Promise.resolve(this.mounts.filter((point) => point === directory || point.startsWith(`${directory}/`)))
  }
}

/** Keeps what was warned of, for the message of a failed test. */
export class MemoryLogger implements Logger {
  readonly lines: string[] = []
  debug(): void {}
  info(): void {}
  warn(fields: LogFields, message: string): void {
    this.lines.push(`${message} ${fields['err'] instanceof Error ? fields['err'].message : ''}`)
  }
  error(fields: LogFields, message: string): void {
    this.warn(fields, message)
  }
  child(): Logger {
    return this
  }
}

export interface Harness extends AsyncDisposable {
  readonly api: FakeApiServer
  readonly cri: FakeCri
  readonly dir: string
  readonly cgroups: FakeCgroups
  readonly mounter: FakeMounter
  readonly logger: MemoryLogger
  /** Starts a kubelet; the one before must have been stopped. */
  start(): Promise<void>
  stop(): Promise<void>
  pod(name: string): Pod | undefined
  createPod(name: string, spec: PodSpec, metadata?: Partial<Pod['metadata']>): Pod
  deletePod(name: string, gracePeriodSeconds?: number): Promise<void>
  /** Polls until `check` gives a value that is neither undefined nor false. */
  until<T>(what: string, check: () => T | Promise<T>): Promise<Exclude<T, undefined | false>>
  untilPhase(name: string, phase: string): Promise<Pod>
  events(name: string): readonly Event[]
}

export interface HarnessOptions {
  readonly cri?: FakeCriOptions | undefined
  readonly kubelet?: Partial<KubeletOptions> | undefined
  readonly onRequest?: ((request: ApiRequest) => void) | undefined
}

/** A kubelet between an API server in memory and a fake runtime behind a real socket. */
export async function startHarness(options: HarnessOptions = {}): Promise<Harness> {
  const dir = await mkdtemp(join(tmpdir(), 'kl-'))
  const api = new FakeApiServer({ onRequest: options.onRequest })
  for (const name of ['default', 'kube-node-lease']) api.put(namespaces, { metadata: { name }, spec: {} })
  const cri = await startFakeCri({ socketPath: join(dir, 'cri.sock'), images: ['docker.io/library/busybox:1'], ...options.cri })
  const client = createClient(api)
  const cgroups = new FakeCgroups()
  const mounter = new FakeMounter()
  const logger = new MemoryLogger()
  let running: { readonly stop: AbortController; readonly ended: Promise<void>; readonly runtime: AsyncDisposable } | undefined
  const harness: Harness = {
    api,
    cri,
    dir,
    cgroups,
    mounter,
    logger,
    async start() {
      const stop = new AbortController()
      const ready = Promise.withResolvers<void>()
      const informers = createInformerFactory(client)
      const runtime = createCriClient({ endpoint: cri.endpoint })
      const kubelet = createKubelet({
        nodeName,
        client,
        informers,
        cri: runtime,
        logger,
        rootDir: join(dir, 'kubelet'),
        podLogsDir: join(dir, 'pods'),
        containerLogsDir: join(dir, 'containers'),
        nodeIps: ['192.0.2.10'],
        clusterDns: ['10.43.0.10'],
        resolvConf: '',
        cgroups,
        mounter,
        evictionThresholds: [],
        ...options.kubelet,
      })
      const ended = runAll([informers, kubelet], stop.signal, ready.resolve)
      running = { stop, ended, runtime }
      await Promise.race([ready.promise, ended])
    },
    async stop() {
      const current = running
      running = undefined
      current?.stop.abort()
      await current?.ended
      await current?.runtime[Symbol.asyncDispose]()
    },
    pod: (name) => api.peek(pods, `default/${name}`),
    createPod: (name, spec, metadata = {}) =>
      api.put(pods, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default', ...metadata },
        spec: { restartPolicy: 'Always', terminationGracePeriodSeconds: 30, ...spec, nodeName },
      }),
    async deletePod(name, gracePeriodSeconds) {
      await client
        .resource(pods)
        .delete(name, { namespace: 'default', ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }) })
    },
    async until<T>(what: string, check: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
      const deadline = performance.now() + 20_000
      for (;;) {
        const value = await check()
        if (value !== undefined && value !== false) return value as Exclude<T, undefined | false> // just checked
        if (performance.now() > deadline)
          throw new Error(
            `Not within 20 s: ${what}\n${logger.lines.slice(-5).join('\n')}\n${JSON.stringify(api.all(pods).map(({ status }) => status))}`,
          )
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    },
    untilPhase: (name, phase) =>
      harness.until(`pod ${name} is ${phase}`, () => {
        const pod = harness.pod(name)
        return pod?.status?.phase === phase ? pod : undefined
      }),
    events: (name) => api.all(events).filter(({ involvedObject }) => involvedObject.name === name),
    async [Symbol.asyncDispose]() {
      await harness.stop()
      await cri[Symbol.asyncDispose]()
      await rm(dir, { recursive: true, force: true })
    },
  }
  return harness
}
