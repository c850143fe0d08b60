import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { addQuantities, quantityOf } from '@k3s/api'
import { nodes, pods, services, type Pod } from '@k3s/api/types/core/v1'
import { createEventRecorder } from '@k3s/client'
import { noLogger, noMetrics, systemClock, type Service } from '@k3s/lifecycle'
import { ObjectStore } from './config/object-store.ts'
import { kubeletEvents } from './events.ts'
import { EvictionManager } from './eviction/eviction-manager.ts'
import { defaultThresholds, thresholdValue } from './eviction/rank.ts'
import { systemProbe } from './eviction/system-probe.ts'
import { LeaseRenewer } from './node/lease-renewer.ts'
import { diskUsage, readMachine } from './node/machine.ts'
import { NodeReporter } from './node/node-reporter.ts'
import { allocatableOf, capacityOf, type Health, type NodeFacts, type Reserved } from './node/node-status.ts'
import { RuntimeHealth } from './node/runtime-health.ts'
import { defaults, type KubeletOptions } from './options.ts'
import { PodManager } from './pods/pod-manager.ts'
import { PodWorkers } from './pods/pod-workers.ts'
import { podUid } from './pods/pod-facts.ts'
import { StaticPodSource } from './pods/static-pods.ts'
import { ProbeManager } from './probes/probe-manager.ts'
import { detectCgroups } from './resources/cgroups.ts'
import { ContainerGc } from './runtime/container-gc.ts'
import { ImageGc } from './runtime/image-gc.ts'
import { ImagePuller } from './runtime/image-puller.ts'
import { LogRotator } from './runtime/log-rotator.ts'
import { Pleg } from './runtime/pleg.ts'
import { KubeletServer } from './server/kubelet-server.ts'
import { StatsProvider } from './server/stats.ts'
import { StatusManager } from './status/status-manager.ts'
import { ContainerKiller } from './sync/container-killer.ts'
import { ContainerStarter } from './sync/container-starter.ts'
import { PodConfigurator } from './sync/pod-configurator.ts'
import { PodSyncer } from './sync/pod-syncer.ts'
import { systemMounter } from './volumes/mounter.ts'
import { TokenSource } from './volumes/token-source.ts'
import { VolumeManager } from './volumes/volume-manager.ts'

/**
 * The agent of one node: runs the pods that are bound to it, and tells the API server how they and the node are.
 *
 * It is ready when the node is registered and its server listens. When it stops, containers run on; the next kubelet with the same `rootDir` and
 * runtime takes them over. The informer factory has to run, before or beside it.
 */
export function createKubelet(options: KubeletOptions): Service {
  return { name: 'kubelet', run: ({ signal, ready }) => runKubelet(options, signal, ready) }
}

async function runKubelet(options: KubeletOptions, outer: AbortSignal, ready: () => void): Promise<void> {
  const { client, cri, informers, nodeIps, nodeName } = options
  const clock = options.clock ?? systemClock
  const logger = options.logger ?? noLogger
  const metrics = options.metrics ?? noMetrics
  const rootDir = options.rootDir ?? defaults.rootDir
  const podLogsDir = options.podLogsDir ?? defaults.podLogsDir
  const containerLogsDir = options.containerLogsDir ?? defaults.containerLogsDir
  const clusterDomain = options.clusterDomain ?? defaults.clusterDomain
  const mounter = options.mounter ?? systemMounter
  const failed = new AbortController()
  const signal = AbortSignal.any([outer, failed.signal])

  for (const dir of [join(rootDir, 'pods'), podLogsDir, containerLogsDir]) await mkdir(dir, { recursive: true, mode: 0o755 })
  const machine = await readMachine()
  const cgroups =
    options.cgroups ?? (await detectCgroups({ root: options.cgroupRoot ?? defaults.cgroupRoot, podPidsLimit: options.podPidsLimit }))
  await cgroups.createBase()

  const recorder = createEventRecorder(client, { component: 'kubelet', host: nodeName, clock, logger })
  const events = kubeletEvents(recorder, nodeName)
  const wake = (uid: string): void => workers.wake(uid)
  const podInformer = informers.informer(pods, { fieldSelector: `spec.nodeName=${nodeName}` })
  const serviceInformer = informers.informer(services)
  const nodeInformer = informers.informer(nodes, { fieldSelector: `metadata.name=${nodeName}` })
  const runtime = new RuntimeHealth({
    cri,
    clock,
    logger,
    onChange: () => {
      reporter.check()
      for (const pod of workers.active()) wake(podUid(pod))
    },
  })
  const pleg = new Pleg({
    cri,
    clock,
    logger,
    metrics,
    onChange: (uid, signature) => workers.runtimeChanged(uid, signature),
  })
  const thresholds = options.evictionThresholds ?? defaultThresholds
  const maxPods = options.maxPods ?? defaults.maxPods
  const firstDisk = await diskUsage(rootDir)
  const reserved = withEviction(options.reserved ?? {}, thresholds, machine.memoryBytes, firstDisk.capacityBytes)
  const allocatable = allocatableOf(capacityOf({ machine, rootDisk: firstDisk, maxPods }), reserved)

  const statuses = new StatusManager({ client, clock, logger, apiPodOf: (pod) => manager.apiPodOf(pod) })
  const objects = new ObjectStore({ client, clock, logger, onChange: wake })
  const volumes = new VolumeManager({ client, mounter, rootDir })
  const tokens = new TokenSource(client, clock)
  const configurator = new PodConfigurator({
    client,
    objects,
    tokens,
    events,
    services: () => serviceInformer.lister.list(),
    clusterDns: options.clusterDns ?? [],
    clusterDomain,
    resolvConf: options.resolvConf ?? defaults.resolvConf,
    podLogsDir,
    rootDir,
    nodeIps: () => nodeIps,
    allocatable: () => allocatable,
    memoryCapacity: machine.memoryBytes,
    minOomScoreAdj: machine.minOomScoreAdj,
    hasAppArmor: machine.hasAppArmor,
  })
  const probes = new ProbeManager({ cri, clock, events, logger, metrics, statusOf: (pod) => statuses.current(pod), onChange: wake })
  const killer = new ContainerKiller({ cri, clock, events, logger })
  const images = new ImagePuller({
    cri,
    clock,
    events,
    pullSecrets: (pod) => configurator.pullSecrets(pod),
    parallelPulls: options.parallelPulls ?? defaults.parallelPulls,
    pullTimeoutMs: defaults.pullTimeoutMs,
  })
  const starter = new ContainerStarter({
    cri,
    clock,
    logger,
    metrics,
    events,
    images,
    killer,
    configurator,
    volumes,
    mounter,
    podLogsDir,
    containerLogsDir,
  })
  const syncer = new PodSyncer({
    cri,
    clock,
    logger,
    events,
    cgroups,
    objects,
    volumes,
    probes,
    statuses,
    killer,
    starter,
    configurator,
    podLogsDir,
    networkProblem: () => runtime.networkProblem,
    nodeIps: () => nodeIps,
    runtimeName: () => runtime.name,
  })
  const workers = new PodWorkers({
    syncer,
    clock,
    logger,
    onFinished: (pod) => {
      tokens.forget(podUid(pod))
      manager.onFinished(pod)
    },
  })
  const containerGc = new ContainerGc({ cri, clock, logger, podLogsDir, containerLogsDir, isGone: (uid) => manager.isGone(uid) })
  const imageDisk = async (): Promise<Awaited<ReturnType<typeof diskUsage>>> => {
    const mountPoint = (await cri.imageFsInfo()).imageFilesystems[0]?.fsId?.mountpoint
    return await diskUsage(mountPoint ?? rootDir).catch(() => diskUsage(rootDir)) // the runtime may live in another mount namespace
  }
  const imageGc = new ImageGc({
    cri,
    clock,
    logger,
    events,
    imageDisk,
    highThreshold: options.imageGcThresholds?.high,
    lowThreshold: options.imageGcThresholds?.low,
  })
  const rotator = new LogRotator({
    cri,
    clock,
    logger,
    podLogsDir,
    maxBytes: options.containerLogMaxBytes ?? defaults.containerLogMaxBytes,
    maxFiles: options.containerLogMaxFiles ?? defaults.containerLogMaxFiles,
  })
  const stats = new StatsProvider({
    cri,
    clock,
    cgroups,
    nodeName,
    rootDir,
    memoryCapacity: machine.memoryBytes,
    startedMs: clock.now(),
    pods: () => manager.list(),
  })
  const evictions = new EvictionManager({
    probe:
      options.evictionProbe ?? systemProbe({ cgroups, stats, memoryCapacity: machine.memoryBytes, rootDir, pods: () => workers.active() }),
    thresholds,
    clock,
    logger,
    metrics,
    events,
    pods: () => workers.active(),
    evict: (pod, failure) => workers.terminate(podUid(pod), { graceSeconds: 1, failure }),
    reclaimDisk: (stop) => imageGc.removeUnused(stop),
    onPressure: () => reporter.check(),
  })
  const problems = (): string[] =>
    [runtime.runtimeProblem, runtime.networkProblem, pleg.problem()].filter((problem) => problem !== undefined)
  const { tls, authorize } = options
  const server =
    tls === undefined || authorize === undefined
      ? undefined
      : new KubeletServer({
          address: options.address ?? defaults.address,
          port: options.port ?? defaults.port,
          tls,
          authorize,
          cri,
          clock,
          logger,
          stats,
          pods: () => manager.list(),
          runtimePods: () => pleg.pods(),
          statusOf: (pod) => statuses.current(pod),
          renderMetrics: options.renderMetrics ?? (() => Promise.resolve('')),
          problem: () => pleg.problem(),
        })
  const reporter = new NodeReporter({
    client,
    clock,
    logger,
    events,
    nodeName,
    architecture: machine.architecture,
    labels: options.nodeLabels ?? {},
    annotations: options.nodeAnnotations ?? {},
    taints: options.nodeTaints ?? [],
    providerId: options.providerId,
    facts: async (): Promise<NodeFacts> => ({
      nodeName,
      nodeIps,
      version: options.version ?? defaults.version,
      machine,
      rootDisk: { ...(await diskUsage(rootDir)), capacityBytes: firstDisk.capacityBytes },
      maxPods,
      reserved,
      port: server?.port ?? options.port ?? defaults.port,
      runtimeVersion: runtime.version,
      images: runtime.images,
      runtimeHandlers: runtime.handlers,
    }),
    health: (): Promise<Health> =>
      Promise.resolve({
        problems: problems(),
        memoryPressure: evictions.memoryPressure,
        diskPressure: evictions.diskPressure,
        pidPressure: evictions.pidPressure,
      }),
  })
  const manager = new PodManager(
    {
      client,
      clock,
      logger,
      informer: podInformer,
      workers,
      syncer,
      statuses,
      volumes,
      cgroups,
      containerGc,
      pleg,
      node: () => nodeInformer.lister.get(nodeName) ?? reporter.node,
      freshNode: (stop) => reporter.refresh(stop),
      admission: (node) => ({
        allocatable: { ...node.status?.allocatable, ...allocatable },
        allowedUnsafeSysctls: options.allowedUnsafeSysctls ?? [],
        pressures: new Set([
          ...(evictions.memoryPressure ? (['MemoryPressure'] as const) : []),
          ...(evictions.diskPressure ? (['DiskPressure'] as const) : []),
          ...(evictions.pidPressure ? (['PIDPressure'] as const) : []),
        ]),
      }),
    },
    options.staticPodDir !== undefined,
  )
  const lease = new LeaseRenewer({ client, clock, logger, nodeName, nodeUid: () => reporter.node?.metadata.uid })
  const files =
    options.staticPodDir === undefined
      ? undefined
      : new StaticPodSource({
          dir: options.staticPodDir,
          nodeName,
          clock,
          logger,
          onChange: (found: readonly Pod[]) => manager.setStatic(found),
        })

  const listening = Promise.withResolvers<void>()
  if (server === undefined) listening.resolve()
  await runtime.check(signal)
  await pleg.relist(signal).catch(() => {}) // its loop goes on trying
  const serving = server?.run(signal, listening.resolve).catch((error: unknown) => {
    listening.reject(error)
    throw error
  })
  // The node tells where the server listens.
  const registered = listening.promise.then(() => reporter.register(signal))
  const loops: readonly Promise<void>[] = [
    ...(serving === undefined ? [] : [serving]),
    runtime.run(signal),
    pleg.run(signal),
    statuses.run(signal),
    ...(files === undefined ? [] : [files.run(signal)]),
    registered.then(async () => {
      events.nodeEvent('Normal', 'Starting', 'Starting kubelet.')
      await reporter.report(signal).catch(() => {}) // its loop tries again and tells
      ready()
      await reporter.run(signal)
    }),
    manager.run(registered, signal),
    lease.run(signal),
    containerGc.run(signal),
    imageGc.run(signal),
    rotator.run(signal),
    evictions.run(signal),
  ]
  try {
    await Promise.all(loops)
  } catch (error) {
    if (!outer.aborted) throw error
  } finally {
    // Shutdown: 1. every loop ends; 2. pod workers stop where they are, containers run on; 3. probes, watches and events end.
    failed.abort(new Error('The kubelet stops'))
    await Promise.allSettled(loops)
    await workers.close()
    probes.close()
    objects.close()
    recorder[Symbol.dispose]()
  }
}

/** What the eviction manager wants left is not for pods either. */
function withEviction(
  reserved: Reserved,
  thresholds: KubeletOptions['evictionThresholds'],
  memoryBytes: number,
  diskBytes: number,
): Reserved {
  const added: Record<string, string> = { ...reserved }
  for (const threshold of thresholds ?? []) {
    const [name, capacity] =
      threshold.signal === 'memory.available'
        ? ['memory', memoryBytes]
        : threshold.signal === 'nodefs.available'
          ? ['ephemeral-storage', diskBytes]
          : [undefined, 0]
    if (name === undefined) continue
    added[name] = addQuantities(added[name] ?? '0', quantityOf(thresholdValue(threshold, capacity), 'binarySI'))
  }
  return added
}
