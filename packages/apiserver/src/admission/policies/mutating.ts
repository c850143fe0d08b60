import { forbidden, isStatusError, StatusError, type KubernetesObject, type StatusReason } from '@k3s/api'
import {
  type MutatingAdmissionPolicy,
  type MutatingAdmissionPolicyBinding,
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
} from '@k3s/api/types/admissionregistration/v1'
import type { AccessChecker } from '@k3s/cel'
import { append } from '@k3s/lifecycle'
import type { AdmissionPlugin, Reinvocation } from '../admission.ts'
import { accessChecker } from '../expressions/access.ts'
import { meetsConditions } from '../expressions/conditions.ts'
import { Evaluation, OutOfBudget, policyBudget, type Inputs } from '../expressions/evaluation.ts'
import { attributesOf, type Attributes } from '../matching/attributes.ts'
import { objectsIn, writeBack } from '../matching/object-versions.ts'
import type { Match } from '../matching/rules.ts'
import { AgainSet } from '../webhooks/again-set.ts'
import { copyInTurns, equalInTurns, isLarge } from '../../off-loop/json-in-turns.ts'
import { plainType } from '../../off-loop/heavy-work.ts'
import { Pace } from '../../off-loop/pace.ts'
import { compileMutatingPolicy, type CompiledMutatingPolicy, type CompiledMutation } from './compile-policy.ts'
import { bindingMatches, isExempt, matchOf, namespaceOf } from './matching.ts'
import { collectParams, paramResource } from './params.ts'
import { applyConfiguration, applyPatchList } from './patches.ts'
import type { PolicyOptions } from './policy-options.ts'
import { PolicySource, type BoundPolicy } from './policy-source.ts'

type Bound = BoundPolicy<MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, CompiledMutatingPolicy>

/** One run of a policy: with one binding and one set of parameters. */
interface Invocation {
  readonly policy: MutatingAdmissionPolicy
  readonly binding: string
  readonly compiled: CompiledMutatingPolicy
  readonly match: Match
  readonly params: KubernetesObject | undefined
}

interface Problem {
  readonly text: string
  readonly reason: StatusReason | undefined
  readonly failurePolicy: string | undefined
}

/** Changes objects by MutatingAdmissionPolicies. Deletions have nothing to change. */
export function mutatingPolicies(options: PolicyOptions): AdmissionPlugin {
  const source = new PolicySource({ policies: mutatingadmissionpolicies, bindings: mutatingadmissionpolicybindings }, compileMutatingPolicy)
  return {
    name: 'MutatingAdmissionPolicy',
    admit(request, reinvocation) {
      const policies = source.bound(request.scope.objects)
      if (policies.length === 0 || request.operation === 'DELETE' || isExempt(request)) return undefined
      const attributes = attributesOf(request, options.catalog)
      return attributes === undefined ? undefined : new Mutation(options, attributes, reinvocation).run(policies)
    },
  }
}

/** The mutation of one request. */
class Mutation {
  readonly #options: PolicyOptions
  readonly #attributes: Attributes
  readonly #reinvocation: Reinvocation | undefined
  readonly #access: AccessChecker
  readonly #pace = new Pace()
  readonly #problems: Problem[] = []

  constructor(options: PolicyOptions, attributes: Attributes, reinvocation: Reinvocation | undefined) {
    this.#options = options
    this.#attributes = attributes
    this.#reinvocation = reinvocation
    this.#access = accessChecker(options.authorizer, attributes.user)
  }

  async run(policies: readonly Bound[]): Promise<void> {
    const { request } = this.#attributes
    const invocations: Invocation[] = []
    for (const bound of policies) {
      await this.#pace.step()
      append(invocations, await this.#invocationsOf(bound))
    }
    if (invocations.length > 0) {
      const isAgain = this.#reinvocation?.isAgain === true
      const again = this.#reinvocation?.note('MutatingAdmissionPolicy', () => new AgainSet()) ?? new AgainSet()
      if (isAgain) await again.compare(request.object)
      for (const invocation of invocations) await this.#invoke(invocation, again, isAgain)
      await again.remember(request.object)
    }
    this.#refuse()
  }

  async #invocationsOf({ policy, bindings, compiled }: Bound): Promise<readonly Invocation[]> {
    const attributes = this.#attributes
    const { catalog } = this.#options
    const { matchConstraints, paramKind } = policy.spec
    const found: Invocation[] = []
    try {
      if (matchConstraints === undefined) throw new Error('policy contained no match constraints, a required field')
      const match = matchOf(matchConstraints, attributes, catalog)
      if (match === undefined) return []
      const served = paramResource(paramKind, catalog)
      for (const { metadata, spec } of bindings) {
        try {
          if (!bindingMatches(spec.matchResources, attributes, catalog)) continue
          const { namespace, signal } = attributes
          const params = await collectParams(served, spec.paramRef, { namespace, signal })
          const ready = await compiled()
          append(
            found,
            params.map((one) => ({ policy, binding: metadata.name, compiled: ready, match, params: one })),
          )
        } catch (error) {
          this.#note(policy, metadata.name, `failed to configure binding: ${textOf(error)}`)
        }
      }
    } catch (error) {
      this.#note(policy, undefined, `failed to configure policy: ${textOf(error)}`)
    }
    return found
  }

  async #invoke({ policy, binding, compiled, match, params }: Invocation, again: AgainSet, isAgain: boolean): Promise<void> {
    const attributes = this.#attributes
    const { request } = attributes
    const { catalog } = this.#options
    const objects = await objectsIn(match, request, catalog)
    const [namespace, access, pace, { work }] = [namespaceOf(attributes), this.#access, this.#pace, request.scope]
    const inputs: Inputs = { attributes, match, objects, params, namespace, access, pace, work }
    const { conditions, variables } = compiled
    const { failurePolicy } = policy.spec
    const holds = await meetsConditions(conditions, inputs, { failurePolicy, variables })
    if (typeof holds === 'object') return this.#note(policy, binding, holds.error, 'Invalid')
    const key = [policy.metadata.name, binding, params?.metadata.namespace ?? '', params?.metadata.name ?? ''].join('/')
    if (!holds || (isAgain && !again.includes(key))) return
    const before = await copyInTurns(request.object)
    for (const mutation of compiled.mutations) {
      if (request.object === undefined) break
      try {
        await this.#mutate(mutation, compiled, { ...inputs, objects: await objectsIn(match, request, catalog) })
      } catch (error) {
        if (isStatusError(error)) throw error
        this.#note(policy, binding, textOf(error), 'Invalid')
      }
    }
    if (!(await equalInTurns(before, request.object))) {
      again.changed()
      this.#reinvocation?.want()
    }
    if (policy.spec.reinvocationPolicy === 'IfNeeded') again.add(key)
  }

  async #mutate({ patch, patchType }: CompiledMutation, { variables }: CompiledMutatingPolicy, inputs: Inputs): Promise<void> {
    const { catalog } = this.#options
    const { match, objects } = inputs
    if (patch.program === undefined) throw new Error(patch.problem)
    if (objects.object === undefined) return
    const served = catalog.find(match.resource)
    await served?.custom?.open(inputs.attributes.signal ?? new AbortController().signal)
    const evaluation = new Evaluation(inputs, { budget: policyBudget, variables })
    const { kind } = match
    // What takes long to patch is patched where it takes nobody's time.
    const result = inputs.work !== undefined && isLarge(objects.object) ? undefined : await evaluation.evaluateHere(patch)
    if (result !== undefined && 'error' in result) throw new Error(result.error)
    const target = { object: objects.object, kind, served }
    let changed: KubernetesObject | { readonly error: string }
    if (result === undefined) {
      const type = served?.storage === undefined ? undefined : plainType(served.type)
      changed = await evaluation.patchElsewhere(patch, { patchType, kind, type, definition: served?.custom?.definition })
      if ('error' in changed) throw new Error(changed.error)
    } else changed = patchType === 'JSONPatch' ? applyPatchList(result.value, target) : applyConfiguration(result.value, target)
    await writeBack(match, changed, inputs.attributes.request, catalog)
  }

  #note({ metadata, spec }: MutatingAdmissionPolicy, binding: string | undefined, message: string, reason?: StatusReason): void {
    const who = binding === undefined ? `policy ${JSON.stringify(metadata.name)}` : `policy '${metadata.name}' with binding '${binding}'`
    this.#problems.push({ text: `${who} denied request: ${message}`, reason, failurePolicy: spec.failurePolicy })
  }

  #refuse(): void {
    const counted = this.#problems.filter(({ failurePolicy }) => failurePolicy !== 'Ignore')
    const [first] = counted
    if (first === undefined) return
    const { resource, name, request } = this.#attributes
    const { metadata } = request.object ?? {}
    const plain = forbidden(resource, name || metadata?.name || metadata?.generateName || 'Unknown', 'admission request denied by policy')
    const causes = counted.map(({ text }) => ({ message: text }))
    // As upstream, which keeps the code of Forbidden whatever the reason.
    throw new StatusError(first.reason ?? 'Forbidden', first.text, {
      code: 403,
      details: { ...plain.details, causes: [...(plain.details?.causes ?? []), ...causes] },
    })
  }
}

const textOf = (error: unknown): string => (error instanceof OutOfBudget || error instanceof Error ? error.message : String(error))
