import type { KubernetesObject, ResourceType } from '@k3s/api'
import type { AccessCheck, AccessDecision } from '@k3s/cel'
import type { NamedExpression } from '../admission/expressions/variables.ts'
import type { UserInfo } from '../auth/auth.ts'
import type { ExpectedKind, FieldValidation } from '../codec.ts'
import type { HeavyDefinition } from './heavy-definition.ts'
import type { ExactNumbers } from '../watch-cache/exact-numbers.ts'

/** Jobs for large objects: each is one step of a write that needs nothing but its input. Inputs and outputs are data that can be copied between threads. */

/** Which built-in rules a server has: some of the options of `builtInStrategies`. */
export interface HeavyRules {
  readonly allowPrivileged?: boolean | undefined
}

/** What a job is done by, besides its input. */
export interface HeavyContext {
  readonly rules: HeavyRules
  /** Present: the resource is a custom one. */
  readonly definition: HeavyDefinition | undefined
}

/** A body as it came over the wire. */
export interface WireBody {
  readonly bytes: Uint8Array
  readonly contentType: string
  readonly fromYaml?: { readonly duplicates: readonly string[] } | undefined
}

/** A version of an object that is cached. */
export interface Seen {
  /** Of the version that it is stored in. */
  readonly apiVersion: string
  readonly key: string
  readonly revision: number
  readonly bytes: Uint8Array
}

/** What rules are told of a request, as data. */
export interface ScopeFacts {
  readonly user: UserInfo
  readonly namespace: string
  readonly dryRun: boolean
  readonly now: string
  readonly requested: ResourceType | undefined
  readonly query: string
}

/** What admission did with an update: nothing; it was asked; it asked webhooks and policies again because they changed the object. */
export type Admitted = 'no' | 'asked' | 'asked again'

/** Who is recorded as owner of what a write sets; undefined where nobody is. */
export type Tracked = { readonly fieldManager: string; readonly nowMs: number } | undefined

export interface HeavyInputs {
  readonly decode: { readonly body: WireBody; readonly expected: ExpectedKind; readonly fieldValidation: FieldValidation }
  /** Of a custom resource. */
  readonly decodeCustom: HeavyInputs['decode'] & { readonly type: ResourceType }
  readonly decodeOptions: { readonly body: WireBody }
  readonly patch: {
    readonly type: ResourceType
    readonly body: WireBody
    readonly current: Seen
    readonly at: { readonly name: string; readonly namespace: string }
    readonly fieldValidation: FieldValidation
  }
  readonly apply: {
    readonly type: ResourceType
    readonly body: WireBody
    readonly current: Seen | undefined
    readonly at: { readonly name: string; readonly namespace: string }
    readonly subresource: string
    readonly fieldManager: string
    readonly force: boolean | undefined
    readonly fieldValidation: FieldValidation
    readonly nowMs: number
  }
  /** Answers with the whole document. */
  readonly openApiV2: { readonly parts: Uint8Array; readonly descriptions: string | undefined; readonly isProtobuf: boolean }
  /** Answers with the next status of a definition. */
  readonly planStatus: { readonly definition: Uint8Array; readonly others: Uint8Array; readonly now: string }
  /** Of a custom resource: answers with the value of what is stored in the version of `type`, without asking a webhook; `isUnchanged` when it is the same. */
  readonly show: { readonly type: ResourceType; readonly current: Seen }
  /** Of a custom resource: answers with the value of an object in the form of a version's schema. */
  readonly shape: {
    readonly type: ResourceType
    readonly version: string
    readonly isStored: boolean
    readonly object: Uint8Array
    readonly exact: ExactNumbers | undefined
  }
  /** An expression of a policy or a webhook; of a patch with the resource of what is patched, unless it is served no more. */
  readonly evaluate: Omit<EvaluateInput, 'patch'> & {
    readonly patch: (NonNullable<EvaluateInput['patch']> & { readonly type: ResourceType | undefined }) | undefined
  }
  readonly beginCreate: { readonly type: ResourceType; readonly object: Uint8Array; readonly tracked: Tracked }
  readonly finishCreate: {
    readonly type: ResourceType
    readonly object: Uint8Array
    readonly scope: ScopeFacts
    readonly uid: string
    readonly generatedName: string | undefined
    readonly wasAdmitted: boolean
  }
  readonly beginUpdate: {
    readonly type: ResourceType
    readonly object: Uint8Array
    readonly current: Seen
    readonly subresource: string
    readonly scope: ScopeFacts
    readonly tracked: Tracked
  }
  readonly finishUpdate: {
    readonly type: ResourceType
    readonly object: Uint8Array
    readonly current: Seen
    readonly subresource: string
    readonly name: string
    readonly scope: ScopeFacts
    readonly admitted: Admitted
  }
}

export type HeavyKind = keyof HeavyInputs

/** What a job answers. */
export interface HeavyOutput {
  /** JSON of what was asked for; `null` for nothing. */
  readonly json: Uint8Array
  readonly warnings: readonly string[]
  /** Of `finishUpdate` and `show`: the object is what it was. */
  readonly isUnchanged?: boolean | undefined
  /** Of `evaluate`; when it patched an object, that is what `json` has. */
  readonly evaluated?:
    | Omit<Extract<EvaluateOutput, { readonly outcome: unknown }>, 'object'>
    | Extract<EvaluateOutput, { readonly pending: unknown }>
    | undefined
  /** Of the last step of a write, `show` and `shape`: the value to store. */
  readonly value?: Uint8Array | undefined
}

/** What a request is about, as the authorizer is asked. */
export type RequestTarget = Pick<AccessCheck, 'group' | 'resource' | 'subresource' | 'namespace' | 'name'>

/** An expression about a request, that was compiled before, and what it may look at. */
export interface EvaluateInput {
  readonly source: string
  readonly hasParams: boolean
  readonly variables: readonly NamedExpression[]
  /** Variables that were paid for. */
  readonly charged: readonly string[]
  /** JSON of the `Facts` of expressions. */
  readonly facts: Uint8Array
  /** Absent: expressions know no authorizer. */
  readonly target: RequestTarget | undefined
  /** What it said, by what it was asked. */
  readonly decisions: readonly (readonly [string, AccessDecision])[]
  /** Present: the expression makes a patch of the object. */
  readonly patch:
    | { readonly patchType: 'ApplyConfiguration' | 'JSONPatch'; readonly kind: Pick<ResourceType, 'group' | 'version' | 'kind'> }
    | undefined
}

/** What came of it. */
export type EvaluateOutput =
  | {
      /** Of a patch, the value is null: the object is what counts. */
      readonly outcome: { readonly value: null | boolean | string } | { readonly error: string }
      readonly cost: number
      readonly charged: readonly string[]
      readonly object?: KubernetesObject | undefined
    }
  /** It is to be done again when this is known. */
  | { readonly pending: AccessCheck }
