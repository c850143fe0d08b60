import type { HeavyWork } from '../off-loop/heavy-work.ts'
import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { StatusCause } from '@k3s/api/types/meta/v1'
import type { UserInfo } from '../auth/auth.ts'

/** Reads other objects from the server's own cache. Objects are shared and deeply frozen; reads wait for nothing and may be a few milliseconds old. */
export interface ObjectReader {
  get<T extends KubernetesObject>(type: ResourceType<T>, namespace: string, name: string): T | undefined
  /** An empty namespace lists all. */
  list<T extends KubernetesObject>(type: ResourceType<T>, namespace?: string): readonly T[]
}

/** What a rule may know of the request it works for. */
export interface RequestScope {
  readonly user: UserInfo
  readonly namespace: string
  readonly dryRun: boolean
  /** RFC 3339 with seconds, the time of the request. */
  readonly now: string
  readonly objects: ObjectReader
  /** Adds a Warning header to the answer. */
  warn(message: string): void
  /** Adds a note to the audit event of the request. */
  annotate?(key: string, value: string): void
  /** What the client named in its path, when it is another version of what is stored. */
  readonly requested?: ResourceType | undefined
  /** The query of the request; absent for what the server does by itself. */
  readonly query?: URLSearchParams | undefined
  /** Most that expressions of a definition may cost before they throw `TooCostly`; absent: upstream's budget. */
  readonly maxRuleCost?: number | undefined
  /** Does elsewhere what takes long; absent: all is done here. */
  readonly work?: HeavyWork | undefined
  /** Aborts with the request. */
  readonly signal?: AbortSignal | undefined
}

/** One problem of an object. `type` is upstream's reason: `FieldValueRequired`, `FieldValueInvalid`, `FieldValueNotSupported`, `FieldValueForbidden`, `FieldValueDuplicate`, …; build them with `field-error.ts`. */
export type FieldError = StatusCause

/** Column of a Table; upstream's printer columns. */
export interface TableColumn<T> {
  readonly name: string
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date'
  readonly format?: string | undefined
  readonly description: string
  /** 0 always shown, 1 with `-o wide`. */
  readonly priority: number
  cell(object: T, context: { readonly nowMs: number }): unknown
  /** Rows have the cell, but the columns do not tell of it; upstream forgot some. */
  readonly isUndeclared?: boolean | undefined
}

/** The rules of one way of changing an object: of the object itself or of its status. Objects given as `object` are private copies to be changed in place. */
export interface UpdateRules<T> {
  /** Undoes what this path may not change (spec on a status update, status on a plain one). */
  prepare?(object: T, previous: T, scope: RequestScope): void
  validate?(object: T, previous: T, scope: RequestScope): readonly FieldError[]
  /** What users are warned of about a change that is valid. */
  warnings?(object: T, previous: T): readonly string[]
}

/** How to delete gracefully. `undefined`: at once. */
export interface GracefulDeletion {
  readonly gracePeriodSeconds: number
}

/** What a handler of a subresource gets. */
export interface SubresourceRequest {
  readonly verb: 'get' | 'create' | 'update' | 'patch' | 'delete'
  readonly name: string
  /**
   * The decoded body of a create or update, its kind the one that the subresource declares. For `patch` it is the whole patched object: the core
   * calls the handler with `get`, applies the patch to that answer (its resourceVersion included) and calls again; on Conflict it starts over.
   */
  readonly body: unknown
  readonly query: URLSearchParams
  readonly scope: RequestScope
  readonly signal: AbortSignal
  readonly operations: ResourceOperations
}

/** Changes to stored objects from inside the server: admission was already done; strategy hooks and validation of the plain update run unless said otherwise. */
export interface ResourceOperations {
  /** Reads the newest version, lets `change` alter a private copy (or throw) and writes it; repeats on conflict. Does not run strategies. */
  guaranteedUpdate<T extends KubernetesObject>(
    type: ResourceType<T>,
    at: { readonly namespace: string; readonly name: string },
    change: (object: T) => void,
    options?: { readonly dryRun?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<T>
  /** Newest version; throws NotFound. */
  get<T extends KubernetesObject>(type: ResourceType<T>, at: { readonly namespace: string; readonly name: string }): Promise<T>
  /** The whole create path of the resource (defaults, strategy, validation) without authorization and admission. */
  create<T extends KubernetesObject>(type: ResourceType<T>, object: T, options?: { readonly dryRun?: boolean | undefined }): Promise<T>
  /** The whole delete path (graceful deletion, finalizers, preconditions). */
  delete(
    type: ResourceType,
    at: { readonly namespace: string; readonly name: string },
    options: {
      readonly gracePeriodSeconds?: number | undefined
      readonly uid?: string | undefined
      readonly resourceVersion?: string | undefined
      readonly dryRun?: boolean | undefined
    },
  ): Promise<KubernetesObject>
}

/** A subresource whose meaning is its own (binding, eviction, token, scale); `status` follows from {@link ResourceStrategy.status}. */
export interface Subresource {
  /** Kind of the body. */
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly verbs: readonly ('get' | 'create' | 'update' | 'patch')[]
  handle(request: SubresourceRequest): Promise<KubernetesObject>
}

/**
 * What is special about one resource. Everything is optional but `type`: a resource in the schema table with no strategy of its own works by schema.
 * Order of a create: decode → admission (mutating) → `defaults` → `prepareForCreate` → metadata rules → `validate` → admission (validating) → `allocate` → write.
 * Order of an update: decode or patch → `defaults` → `update.prepare` → admission (mutating) → `defaults` → metadata rules → `validate` + `update.validate` → admission (validating) → write.
 */
export interface ResourceStrategy<T extends KubernetesObject = KubernetesObject> {
  readonly type: ResourceType<T>
  /** False for kinds without `generation`. Default: true when the kind has a spec and a status. Bumped when anything but metadata and status changes. */
  readonly hasGeneration?: boolean | undefined
  /** What a change must be to count; absent: anything but metadata and status. */
  isNewGeneration?(object: T, previous: T): boolean
  /** A new object has no `generation` before its first change. */
  readonly startsUncounted?: boolean | undefined
  /** Fills upstream's defaults in place. Idempotent. */
  defaults?(object: T): void
  /** Removes what a client may not set (status, …) and sets what the server sets. */
  prepareForCreate?(object: T, scope: RequestScope): void
  /**
   * Fills in, in place, what upstream stores new objects without and supplies whenever it reads one, and says whether anything was missing. The first
   * update of such an object writes it, even when it changes nothing else.
   */
  completeStored?(object: T): boolean
  /** Problems of the object by itself: of creates and of plain updates. */
  validate?(object: T, scope: RequestScope): readonly FieldError[]
  /** Problems of a new object, besides those of {@link validate}. */
  validateCreate?(object: T, scope: RequestScope): readonly FieldError[]
  /** What users are warned of about a new object that is valid. */
  warningsOnCreate?(object: T): readonly string[]
  readonly update?: UpdateRules<T> | undefined
  /** Present when the kind has a status subresource; `{}` takes the default: only status (and metadata that clients may change) moves. */
  readonly status?: UpdateRules<T> | undefined
  /** Subresources that show the object itself and change a part of it, by their names: `prepare` undoes everything else, `validate` judges the whole. */
  readonly views?: Readonly<Record<string, UpdateRules<T>>> | undefined
  /** Takes what outlives the request (cluster IPs, node ports) and fills it in. Called last before the write; `release` undoes it when the write fails or after a delete. `previous` is absent on create. */
  allocate?(object: T, previous: T | undefined, scope: RequestScope): Promise<{ release(): Promise<void> }> | { release(): Promise<void> }
  /** Called after an object is gone from the store. */
  afterDelete?(object: T): Promise<void> | void
  /** PUT to a missing name creates it (upstream's AllowCreateOnUpdate). */
  readonly allowCreateOnUpdate?: boolean | undefined
  /** PUT without resourceVersion is refused when false (upstream's AllowUnconditionalUpdate). Default true. */
  readonly allowUnconditionalUpdate?: boolean | undefined
  /** Validation of object names; default: DNS-1123 subdomain. What a generated name begins with is asked about as if it were a name. Returns messages. */
  validateName?(name: string, object: T): readonly string[]
  /** The name of an object that has only a `generateName`; default: that and five random characters. */
  generateName?(prefix: string): string
  /** Finalizers without a domain are warned about and not refused. */
  readonly allowsAnyFinalizer?: boolean | undefined
  /** Present: the first DELETE only marks the object, and this says how: what must happen before it goes, by finalizers and in its status. `now` is RFC 3339. */
  markForDeletion?(object: T, now: string): void
  /** `undefined` result: delete at once. `requestedSeconds` is the client's gracePeriodSeconds. */
  gracefulDeletion?(object: T, requestedSeconds: number | undefined): GracefulDeletion | undefined
  /** Fields that field selectors may use besides metadata.name and metadata.namespace. */
  readonly selectableFields?: Readonly<Record<string, (object: T) => string>> | undefined
  /** Annotations that are not shown where only the metadata is. */
  readonly hiddenAnnotations?: readonly string[] | undefined
  readonly columns?: readonly TableColumn<T>[] | undefined
  readonly subresources?: Readonly<Record<string, Subresource>> | undefined
  /** Reviews and the like: POST only, nothing is stored; the answer is the body with its status filled. */
  review?(object: T, scope: RequestScope, signal: AbortSignal): Promise<T>
}
