import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import { append, noLogger, noMetrics, systemClock } from '@k3s/lifecycle'
import { Aggregator } from './aggregation/aggregator.ts'
import { apiServiceStrategy } from './aggregation/api-service-strategy.ts'
import { keepAggregation } from './aggregation/keep-aggregation.ts'
import { catalogOf } from './admission/matching/catalog.ts'
import { Auditor } from './audit/auditor.ts'
import type { ApiServer, ApiServerOptions, FromParts, ServerParts } from './api-server.ts'
import type { ResourceStrategy } from './registry/strategy.ts'
import { clientCertificateAuthenticator } from './authentication/client-certificate.ts'
import { requestHeaderAuthenticator } from './authentication/request-header.ts'
import { startBackground } from './background.ts'
import { ConnectProxy } from './connect/connect-proxy.ts'
import { encryptedDatastore, isStale } from './encryption/encrypted-datastore.ts'
import { FlowControl } from './flow-control/flow-control.ts'
import { MaxInFlight, type InFlightLimits } from './flow-control/max-in-flight.ts'
import { StartChecks } from './health/start-checks.ts'
import { createRequestHandler } from './http/fastify-handler.ts'
import { HttpFront } from './http/http-front.ts'
import { trivialConverter } from './custom-resources/conversion/converter.ts'
import { serviceDialer } from './custom-resources/conversion/service-dialer.ts'
import { webhookConverter } from './custom-resources/conversion/webhook-converter.ts'
import { CustomResources, type CustomResourcesOptions } from './custom-resources/custom-resources.ts'
import { definitionStrategy } from './custom-resources/definition/strategy.ts'
import { RequestMetrics } from './http/request-metrics.ts'
import { listen, type OwnListening } from './http/listen.ts'
import { WatchDeliveries } from './http/watch-deliveries.ts'
import { YamlReader } from './http/yaml-reader.ts'
import { HeavyWork } from './off-loop/heavy-work.ts'
import { nonResourceHandlers } from './non-resource/non-resource-handlers.ts'
import type { ApiCore } from './pipeline/api-core.ts'
import type { CallPipeline } from './pipeline/handle-call.ts'
import { EventLeases } from './registry/event-leases.ts'
import { createObjectReader } from './registry/object-reader.ts'
import type { RegistryContext } from './registry/registry-context.ts'
import { createResourceOperations } from './registry/resource-operations.ts'
import { ResourceTable } from './registry/resource-table.ts'
import { createInProcessTransport } from './transport/in-process-transport.ts'
import { CacheFeed } from './watch-cache/cache-feed.ts'

// Upstream's --event-ttl.
const defaultEventTtlSeconds = 3600
const defaultGraceMs = 10_000
// Upstream's --max-requests-inflight and --max-mutating-requests-inflight.
const defaultInFlightLimits: InFlightLimits = { maxReads: 400, maxWrites: 200 }
// Upstream's --request-timeout and --min-request-timeout.
const defaultRequestTimeoutMs = 60_000
const defaultMinWatchTimeoutMs = 30 * 60_000

/**
 * Makes an API server and resolves when it answers: its caches are filled and the system namespaces exist.
 * Rejects when the datastore cannot be read.
 */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { clock = systemClock, logger = noLogger } = options
  const stopping = new AbortController()
  // Every watch listens.
  setMaxListeners(0, stopping.signal)
  const start = new StartChecks(startChecksOf(options))
  const { core, parts, pipeline } = assemble(options, start, stopping.signal)
  start.finish('start-apiserver-admission-initializer')
  const { objects, operations } = core
  const yaml = new YamlReader({ workerUrl: options.yamlWorkerUrl })
  const front = makeFront(options, { pipeline, parts, yaml, closing: stopping.signal })
  const transport: ApiServer['transport'] = (user) => createInProcessTransport({ pipeline, logger, user, closing: stopping.signal })
  await core.feed.load(stopping.signal)
  start.finish('generic-apiserver-start-informers', 'storage-object-count-tracker-hook', 'storage-readiness')
  // Before anything is answered: what was defined is served from the start.
  const customResources = new CustomResources({ core, converterOf: converterOf(options, core) })
  const custom = customResources.start(stopping.signal)
  start.finish('start-apiextensions-informers', 'start-apiextensions-controllers', 'crd-informer-synced')
  const aggregation = pipeline.aggregator?.start(stopping.signal)
  if (options.aggregation !== undefined) {
    void options.aggregation.proxyCertificate() // throws when it cannot be read
    start.finish(...aggregatorChecks)
  }
  const background = startBackground({ core, options, flowControl: pipeline.flowControl, start, signal: stopping.signal })
  try {
    await background.ready
    start.finish(...flowChecksOf(options))
    await options.prepare?.({ transport, objects, operations, finish: (check) => start.finish(check) }, stopping.signal)
  } catch (error) {
    stopping.abort(error)
    await Promise.all([background.ended, custom.ended, aggregation?.ended])
    throw error
  }
  const keeping = options.aggregation === undefined ? undefined : keepAggregation({ core, options, start, signal: stopping.signal })
  const handler = createRequestHandler(front)
  const listeners = new Set<OwnListening>()

  // Shutdown: 1. no new connections, 2. watches and in-process calls end, 3. running requests finish or their time is up, 4. what is left is cut, 5. background work ends.
  const close = async (graceMs: number): Promise<void> => {
    for (const listener of listeners) listener.stop()
    stopping.abort(new DOMException('The server is closing', 'AbortError'))
    await Promise.race([front.drained(), clock.sleep(graceMs)])
    await Promise.all([...listeners].map((listener) => listener.cut()))
    await Promise.all([handler.close(), yaml.close(), core.registry.heavy?.close()])
    await Promise.all([background.ended, custom.ended, aggregation?.ended, keeping])
  }
  let closed: Promise<void> | undefined
  const server: ApiServer = {
    objects,
    operations,
    inject: handler.inject,
    handleRequest: (request, response) => handler.handle(request, response),
    handleUpgrade: (request, socket, head) => void front.handleUpgrade(request, socket, head), // never rejects
    listen: async (where) => {
      const listening = await listen(server, where)
      listeners.add(listening)
      return listening
    },
    transport,
    close: (how) => (closed ??= close(how?.graceMs ?? defaultGraceMs)),
    [Symbol.asyncDispose]: () => server.close(),
  }
  return server
}

const aggregatorChecks = [
  'aggregator-reload-proxy-client-cert',
  'start-kube-aggregator-informers',
  'apiservice-status-local-available-controller',
  'apiservice-status-remote-available-controller',
  'apiservice-discovery-controller',
  'apiservice-openapi-controller',
  'apiservice-openapiv3-controller',
]

const flowChecksOf = ({ fairness }: ApiServerOptions): readonly string[] =>
  fairness === false ? ['max-in-flight-filter'] : ['priority-and-fairness-config-consumer', 'priority-and-fairness-filter']

/** What a server with these options does when it starts. */
function startChecksOf(options: ApiServerOptions): readonly string[] {
  const { advertised, aggregation, startChecks = [] } = options
  return [
    'start-apiserver-admission-initializer',
    'generic-apiserver-start-informers',
    'storage-object-count-tracker-hook',
    'storage-readiness',
    'start-apiextensions-informers',
    'start-apiextensions-controllers',
    'crd-informer-synced',
    'start-system-namespaces-controller',
    'start-legacy-token-tracking-controller',
    'priority-and-fairness-config-producer',
    ...flowChecksOf(options),
    ...(advertised === undefined ? [] : ['bootstrap-controller']),
    ...(advertised?.serviceCidrs === undefined ? [] : ['start-kubernetes-service-cidr-controller']),
    ...(aggregation === undefined
      ? []
      : [
          'start-cluster-authentication-info-controller',
          'apiservice-registration-controller',
          'kube-apiserver-autoregistration',
          'autoregister-completion',
          ...aggregatorChecks,
        ]),
    ...startChecks,
  ]
}

interface Assembly {
  readonly core: ApiCore
  readonly parts: ServerParts
  readonly pipeline: CallPipeline
}

/** Puts together what decides about requests. Nothing runs and nothing is read yet. */
function assemble(options: ApiServerOptions, start: StartChecks, stopping: AbortSignal): Assembly {
  const { encryption, logger = noLogger, clock = systemClock, random = Math.random } = options
  const datastore = encryption === undefined ? options.datastore : encryptedDatastore(options.datastore, encryption)
  const feed = new CacheFeed({ datastore, logger, clock })
  // Plug-ins are made before the table that they read from; they read when requests come.
  const lazyTable: { current: ResourceTable | undefined } = { current: undefined }
  const objects = createObjectReader(() => lazyTable.current)
  const admission: RegistryContext['admission'][number][] = []
  const leases = new EventLeases(datastore, clock)
  const registry: RegistryContext = {
    datastore,
    clock,
    random,
    newUid: randomUUID,
    admission,
    leases,
    feed,
    heavy: options.heavyRules === undefined ? undefined : new HeavyWork({ rules: options.heavyRules, workerUrl: options.yamlWorkerUrl }),
    isStoredAnew: encryption === undefined ? undefined : (key) => isStale(options.datastore, encryption, key),
  }
  const operations = createResourceOperations({ context: registry, table: () => lazyTable.current, objects, clock })
  const catalog = catalogOf(() => lazyTable.current)
  const services = serviceDialer(objects, options.nodeConnector, random)
  const parts: ServerParts = {
    objects,
    operations,
    clock,
    logger,
    metrics: options.metrics ?? noMetrics,
    catalog,
    services,
    closing: stopping,
  }
  const table = new ResourceTable({
    feed,
    // The table asks each strategy about objects of its own type only.
    strategies: [
      definitionStrategy as unknown as ResourceStrategy,
      apiServiceStrategy as unknown as ResourceStrategy,
      ...fromParts(options.strategies, parts),
    ],
    eventTtlSeconds: options.eventTtlSeconds ?? defaultEventTtlSeconds,
  })
  lazyTable.current = table
  append(admission, fromParts(options.admission, parts))
  const core: ApiCore = {
    datastore,
    clock,
    logger,
    feed,
    table,
    registry,
    objects,
    operations,
    random,
    componentChecks: options.componentChecks,
    minWatchTimeoutMs: options.minWatchTimeoutMs ?? defaultMinWatchTimeoutMs,
  }
  const aggregator =
    options.aggregation === undefined
      ? undefined
      : new Aggregator({ core, connector: options.nodeConnector, proxyCertificate: options.aggregation.proxyCertificate })
  const limits = options.inFlight ?? defaultInFlightLimits
  const maxInFlight = options.fairness === false ? new MaxInFlight(limits) : undefined
  const flowControl = new FlowControl({
    clock,
    metrics: options.metrics ?? noMetrics,
    totalSeats: limits.maxReads + limits.maxWrites,
    maxWaitMs: (options.requestTimeoutMs ?? defaultRequestTimeoutMs) / 4,
    loadOf: (info) => {
      const cache = table.find(info)?.storage?.cache
      return cache === undefined ? undefined : { objects: cache.objects.size, watchers: cache.listeners }
    },
  })
  const pipeline: CallPipeline = {
    core,
    aggregator,
    authorizers: fromParts(options.authorizers, parts),
    flowControl,
    maxInFlight,
    auditor: options.audit === undefined ? undefined : new Auditor(options.audit, options.metrics ?? noMetrics, () => clock.now()),
    nonResource: nonResourceHandlers({ core, options, start, isStopping: () => stopping.aborted, flowControl, maxInFlight, aggregator }),
  }
  return { core, parts, pipeline }
}

/** How custom resources are converted: by what their definitions say. */
function converterOf({ nodeConnector }: ApiServerOptions, { objects, random }: ApiCore): CustomResourcesOptions['converterOf'] {
  const dialer = serviceDialer(objects, nodeConnector, random)
  return (definition) => (definition.spec.conversion?.strategy === 'Webhook' ? webhookConverter(definition, dialer) : trivialConverter)
}

/** The side that HTTP requests come in by: who asks, and how the answers are counted. */
function makeFront(
  options: ApiServerOptions,
  {
    pipeline,
    parts,
    yaml,
    closing,
  }: { readonly pipeline: CallPipeline; readonly parts: ServerParts; readonly yaml: YamlReader; readonly closing: AbortSignal },
): HttpFront {
  const { metrics = noMetrics } = options
  const now = (): number => parts.clock.now()
  return new HttpFront({
    pipeline,
    yaml,
    deliveries: new WatchDeliveries(),
    authenticators: [
      ...(options.requestHeader === undefined ? [] : [requestHeaderAuthenticator(options.requestHeader, now)]),
      ...(options.clientCa === undefined ? [] : [clientCertificateAuthenticator(options.clientCa, now)]),
      ...fromParts(options.authenticators, parts),
    ],
    allowAnonymous: options.allowAnonymous ?? true,
    requestTimeoutMs: options.requestTimeoutMs ?? defaultRequestTimeoutMs,
    goawayChance: options.goawayChance ?? 0,
    random: options.random ?? Math.random,
    connect: new ConnectProxy(options.nodeConnector),
    logger: parts.logger,
    metrics: new RequestMetrics(metrics),
    closing,
  })
}

function fromParts<T>(source: FromParts<T> | undefined, parts: ServerParts): readonly T[] {
  return source === undefined ? [] : typeof source === 'function' ? source(parts) : source
}
