import type { IncomingMessage } from 'node:http'
import type { SecureContextOptions } from 'node:tls'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { ApiTransport } from '@k3s/client'
import type { Datastore } from '@k3s/datastore'
import type { Clock, Logger, MetricsRegistry } from '@k3s/lifecycle'
import type { AuditOptions } from './audit/auditor.ts'
import type { AdmissionPlugin } from './admission/admission.ts'
import type { Catalog } from './admission/matching/catalog.ts'
import type { WebhookDialer } from './custom-resources/conversion/webhook-converter.ts'
import type { Authenticator, Authorizer, UserInfo } from './auth/auth.ts'
import type { CertificateBundle } from './authentication/client-certificate.ts'
import type { RequestHeaderOptions } from './authentication/request-header.ts'
import type { InFlightLimits } from './flow-control/max-in-flight.ts'
import type { EncryptionAtRest } from './encryption/encryption-at-rest.ts'
import type { HttpRequest, HttpResponse } from './http/send-answer.ts'
import type { NodeConnector } from './connect/node-connector.ts'
import type { HeavyRules } from './off-loop/heavy-contract.ts'
import type { ComponentCheck } from './pipeline/component-statuses.ts'
import type { ObjectReader, ResourceOperations, ResourceStrategy } from './registry/strategy.ts'

/** What `/version` says; the defaults are Kubernetes 1.36.3. */
export interface VersionInfo {
  readonly major: string
  readonly minor: string
  readonly gitVersion: string
  readonly gitCommit: string
  readonly gitTreeState: string
  readonly buildDate: string
  readonly goVersion: string
  readonly compiler: string
  readonly platform: string
}

/** Parts of the server that plug-ins work with. */
export interface ServerParts {
  readonly objects: ObjectReader
  readonly operations: ResourceOperations
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: MetricsRegistry
  /** What is served, for admission that is about any resource. */
  readonly catalog: Catalog
  /** Reaches Services by their endpoints. */
  readonly services: WebhookDialer
  /** Aborts when the server closes. */
  readonly closing: AbortSignal
}

/** Either the things themselves, or how to make them from the server's parts. */
export type FromParts<T> = readonly T[] | ((parts: ServerParts) => readonly T[])

/** Where the server itself is reached: the endpoint of the `kubernetes` Service. */
export interface AdvertisedEndpoint {
  /** An IP address. */
  readonly address: string
  readonly port: number
  /** First address of the service network. */
  readonly serviceIp: string
  /** Networks of the services, the one of the default family first: what the ServiceCIDR `kubernetes` says. None is kept without. */
  readonly serviceCidrs?: readonly string[] | undefined
}

/** Where requests without credentials may go, and nowhere else: as upstream's AuthenticationConfiguration has it. */
export interface AnonymousPaths {
  /** Whole paths, such as `/livez`. */
  readonly paths: readonly string[]
}

/** What a path that is no resource answers. */
export interface ExtraDocument {
  readonly contentType: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** How this server joins others to itself. */
export interface AggregationOptions {
  /** Our certificate as a front proxy, by the CA of `requestHeader`; read for every connection. Undefined: none is shown. */
  readonly proxyCertificate: () => { readonly cert: string; readonly key: string } | undefined
}

export interface ApiServerOptions {
  /** Stays the caller's: closing the server does not close it. */
  readonly datastore: Datastore
  /** How values are encrypted in the datastore; absent: not at all. */
  readonly encryption?: EncryptionAtRest | undefined
  readonly logger?: Logger | undefined
  readonly metrics?: MetricsRegistry | undefined
  /** What `/metrics` answers; absent: 404. */
  readonly metricsText?: (() => Promise<{ readonly contentType: string; readonly text: string }>) | undefined
  /** Field descriptions for OpenAPI documents; default: those that came with `@k3s/api`. A bundle names the copy that it carries. */
  readonly descriptionsFile?: URL | string | undefined
  /** Code of the threads that read YAML and work on very large objects; default: the file that came with this package. A bundle names its own. */
  readonly yamlWorkerUrl?: URL | undefined
  /** Present when `strategies` are those of the built-in resources: then work on very large objects is done in that thread, by these rules. */
  readonly heavyRules?: HeavyRules | undefined
  readonly clock?: Clock | undefined
  /** Uniform in [0, 1); for generated names and spread time-outs. */
  readonly random?: (() => number) | undefined
  readonly version?: Partial<VersionInfo> | undefined
  /** CAs of client certificates. */
  readonly clientCa?: CertificateBundle | undefined
  readonly requestHeader?: RequestHeaderOptions | undefined
  /** Asked after certificates and front proxies. */
  readonly authenticators?: FromParts<Authenticator> | undefined
  /** None: only members of `system:masters` may do anything. */
  readonly authorizers?: FromParts<Authorizer> | undefined
  /** Default true. */
  readonly allowAnonymous?: boolean | AnonymousPaths | undefined
  readonly admission?: FromParts<AdmissionPlugin> | undefined
  /** Rules of resources; those without an entry work by their schema. */
  readonly strategies?: FromParts<ResourceStrategy> | undefined
  /** Absent: logs, exec and proxies answer that nodes cannot be reached. */
  readonly nodeConnector?: NodeConnector | undefined
  /** Present: APIServices are kept for what is served, requests go on to the servers that others name, and the cluster's trust is published for those. */
  readonly aggregation?: AggregationOptions | undefined
  /** How other parts of the control plane are, by the names of their component statuses (`scheduler`, `controller-manager`); the datastore is asked anyway. */
  readonly componentChecks?: Readonly<Record<string, ComponentCheck>> | undefined
  /** Absent: no `kubernetes` Service is kept. */
  readonly advertised?: AdvertisedEndpoint | undefined
  /** How long Events live; default an hour. */
  readonly eventTtlSeconds?: number | undefined
  /** Milliseconds between compactions of the datastore; default five minutes, 0 for none. What is kept is between one and two intervals long. */
  readonly compactionIntervalMs?: number | undefined
  /** What is logged of requests, and where; absent: nothing. The sinks stay the caller's. */
  readonly audit?: AuditOptions | undefined
  /** Requests that are worked on at once: the sum is what priority levels divide among themselves. Default 400 and 200. */
  readonly inFlight?: InFlightLimits | undefined
  /** False: no priorities and no queues, but each limit of `inFlight` by itself (0: none), and who finds it reached is turned away. Default true. */
  readonly fairness?: boolean | undefined
  /** Milliseconds that a request may take that is no watch or stream; default a minute. */
  readonly requestTimeoutMs?: number | undefined
  /** Watches whose clients name no end are ended after this many milliseconds to twice as many; default half an hour. */
  readonly minWatchTimeoutMs?: number | undefined
  /** How often, of 1, a request makes its HTTP/2 client open another connection, so that clients spread over servers; default 0. */
  readonly goawayChance?: number | undefined
  /** Serves `/debug/api_priority_and_fairness/`; default false. */
  readonly debugPaths?: boolean | undefined
  /** Work that must be done before the server is ready, after its system namespaces exist: bootstrap objects and the like. */
  readonly prepare?: ((server: PreparedServer, signal: AbortSignal) => Promise<void>) | undefined
  /** Names of health checks that `prepare` finishes: `/readyz` has each as `poststarthook/NAME`. */
  readonly startChecks?: readonly string[] | undefined
  /** Answers for paths that are no resources, asked after our own: token issuer documents and the like. Undefined: not mine. */
  readonly extraPaths?: ((path: string) => ExtraDocument | undefined) | undefined
}

/** What work that is done before a server is ready may use of it. */
export interface PreparedServer extends Pick<ApiServer, 'transport' | 'objects' | 'operations'> {
  /** Passes one of the `startChecks`. */
  finish(check: string): void
}

export interface ListenOptions {
  readonly host?: string | undefined
  /** 0 takes any free port. */
  readonly port: number
  /** Absent: plain HTTP, for tests on loopback. */
  readonly tls?: Pick<SecureContextOptions, 'cert' | 'key'> | undefined
}

export interface Listening extends AsyncDisposable {
  readonly host: string
  readonly port: number
  readonly url: string
}

/** A running API server. */
export interface ApiServer extends AsyncDisposable {
  readonly objects: ObjectReader
  readonly operations: ResourceOperations
  /** For `request` events of node's http, https and http2 servers. */
  handleRequest(request: HttpRequest, response: HttpResponse): void
  /** For their `upgrade` events. */
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** Serves on a port of its own. */
  listen(options: ListenOptions): Promise<Listening>
  /** A client's way in from this process, as `user`. */
  transport(user: UserInfo): ApiTransport
  /** Sends a request through the HTTP side without a socket: `inject({ method, url, headers, payload })`. */
  readonly inject: FastifyInstance['inject']
  /** Stops taking requests, ends watches, waits for what is running (at most `graceMs`, default 10 s) and stops. Idempotent. */
  close(options?: { readonly graceMs?: number | undefined }): Promise<void>
}
