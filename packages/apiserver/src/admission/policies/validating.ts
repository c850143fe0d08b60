import { forbidden, StatusError, type KubernetesObject, type StatusReason } from '@k3s/api'
import {
  type ValidatingAdmissionPolicy,
  type ValidatingAdmissionPolicyBinding,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
} from '@k3s/api/types/admissionregistration/v1'
import type { AdmissionPlugin, AdmissionRequest } from '../admission.ts'
import { accessChecker } from '../expressions/access.ts'
import type { Inputs } from '../expressions/evaluation.ts'
import { attributesOf, type Attributes } from '../matching/attributes.ts'
import { objectsIn } from '../matching/object-versions.ts'
import type { Match } from '../matching/rules.ts'
import { compileValidatingPolicy, type CompiledValidatingPolicy } from './compile-policy.ts'
import { bindingMatches, isExempt, matchOf, namespaceOf } from './matching.ts'
import { Pace } from '../../off-loop/pace.ts'
import { collectParams, paramResource } from './params.ts'
import type { PolicyOptions } from './policy-options.ts'
import { PolicySource, type BoundPolicy } from './policy-source.ts'
import { judge, type Denial } from './judge.ts'

type Bound = BoundPolicy<ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, CompiledValidatingPolicy>

interface Denied extends Denial {
  readonly policy: string
  readonly binding: string | undefined
}

const failureKey = 'validation.policy.admission.k8s.io/validation_failure'
// Longer annotations are cut, in bytes.
const maxAnnotationBytes = 10 * 1024
const codes: Readonly<Record<string, number>> = { Forbidden: 403, Unauthorized: 401, RequestEntityTooLarge: 413, Invalid: 422 }

/** Judges requests by ValidatingAdmissionPolicies. */
export function validatingPolicies(options: PolicyOptions): AdmissionPlugin {
  const source = new PolicySource(
    { policies: validatingadmissionpolicies, bindings: validatingadmissionpolicybindings },
    compileValidatingPolicy,
  )
  return {
    name: 'ValidatingAdmissionPolicy',
    validate(request) {
      const policies = source.bound(request.scope.objects)
      if (policies.length === 0 || isExempt(request)) return undefined
      const attributes = attributesOf(request, options.catalog)
      return attributes === undefined ? undefined : new Judgement(options, attributes).run(policies)
    },
  }
}

/** The judgement of one request. */
class Judgement {
  readonly #options: PolicyOptions
  readonly #attributes: Attributes
  readonly #denied: Denied[] = []
  readonly #access: NonNullable<Inputs['access']>
  readonly #pace = new Pace()

  constructor(options: PolicyOptions, attributes: Attributes) {
    this.#options = options
    this.#attributes = attributes
    this.#access = accessChecker(options.authorizer, attributes.user)
  }

  async run(policies: readonly Bound[]): Promise<void> {
    for (const bound of policies) {
      await this.#pace.step()
      const match = this.#try(bound.policy, undefined, () => this.#match(bound))
      if (match !== undefined) await this.#runPolicy(bound, match)
    }
    const [first] = this.#denied
    if (first !== undefined) throw refusal(this.#attributes, first)
  }

  /** Undefined when the policy is not about the request, or when it cannot be told: then that was noted. */
  #try<T>(policy: ValidatingAdmissionPolicy, binding: string | undefined, work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#misconfigured(policy, binding, error)
      return undefined
    }
  }

  #misconfigured({ metadata, spec }: ValidatingAdmissionPolicy, binding: string | undefined, error: unknown): void {
    if (spec.failurePolicy === 'Ignore') return
    const why = error instanceof Error ? error.message : String(error)
    const message = `failed to configure ${binding === undefined ? 'policy' : 'binding'}: ${why}`
    this.#denied.push({ policy: metadata.name, binding, message, reason: undefined })
  }

  #match({ policy }: Bound): Match | undefined {
    const { matchConstraints } = policy.spec
    if (matchConstraints === undefined) throw new Error('policy contained no match constraints, a required field')
    return matchOf(matchConstraints, this.#attributes, this.#options.catalog)
  }

  async #runPolicy({ policy, bindings, compiled }: Bound, match: Match): Promise<void> {
    const { catalog } = this.#options
    const attributes = this.#attributes
    const { scope } = attributes.request
    const annotations = new Map<string, Set<string>>()
    const found = this.#try(policy, undefined, () => ({ params: paramResource(policy.spec.paramKind, catalog) }))
    if (found === undefined) return
    let objects: Inputs['objects'] | undefined
    for (const binding of bindings) {
      const { name } = binding.metadata
      const { spec } = binding
      if (this.#try(policy, name, () => bindingMatches(spec.matchResources, attributes, catalog)) !== true) continue
      let params: readonly (KubernetesObject | undefined)[]
      try {
        params = await collectParams(found.params, spec.paramRef, { namespace: attributes.namespace, signal: scope.signal })
        if (params.length > 0) objects ??= await objectsIn(match, attributes.request, catalog)
      } catch (error) {
        this.#misconfigured(policy, name, error)
        continue
      }
      if (objects === undefined) continue
      const [namespace, access, pace, { work }] = [namespaceOf(attributes), this.#access, this.#pace, scope]
      const shared = { attributes, match, namespace, access, pace, work }
      for (const one of params) {
        const inputs: Inputs = { ...shared, objects, params: one }
        const judged = await judge(policy, await compiled(), inputs)
        for (const [index, denial] of judged.denials.entries()) if (denial !== undefined) this.#deny(policy, binding, denial, index)
        for (const { key, value } of judged.annotations) annotations.set(key, (annotations.get(key) ?? new Set()).add(cut(value)))
        for (const message of judged.failedAnnotations)
          this.#denied.push({ policy: policy.metadata.name, binding: name, message, reason: undefined })
      }
    }
    for (const [key, values] of annotations) scope.annotate?.(`${policy.metadata.name}/${key}`, [...values].join(', '))
  }

  #deny(policy: ValidatingAdmissionPolicy, binding: ValidatingAdmissionPolicyBinding, denial: Denial, index: number): void {
    const { scope }: AdmissionRequest = this.#attributes.request
    const [policyName, bindingName] = [policy.metadata.name, binding.metadata.name]
    const { validationActions = [] } = binding.spec
    for (const action of validationActions) {
      if (action === 'Deny') this.#denied.push({ ...denial, policy: policyName, binding: bindingName })
      if (action === 'Warn')
        scope.warn(`Validation failed for ValidatingAdmissionPolicy '${policyName}' with binding '${bindingName}': ${denial.message}`)
      if (action === 'Audit') {
        const failure = { message: denial.message, policy: policyName, binding: bindingName, expressionIndex: index, validationActions }
        scope.annotate?.(failureKey, JSON.stringify([failure]))
      }
    }
  }
}

function cut(value: string): string {
  return Buffer.byteLength(value) <= maxAnnotationBytes ? value : Buffer.from(value).subarray(0, maxAnnotationBytes).toString('utf8')
}

function refusal({ resource, name, request }: Attributes, { policy, binding, message, reason }: Denied): StatusError {
  const { metadata } = request.object ?? {}
  const subject = name || metadata?.name || metadata?.generateName || 'Unknown'
  const by = binding === undefined ? '' : ` with binding '${binding}'`
  const why = `ValidatingAdmissionPolicy '${policy}'${by} denied request: ${message}`
  const plain = forbidden(resource, subject, why)
  const own = reason ?? 'Invalid'
  // The API takes none but the reasons of `codes`.
  return new StatusError(own as StatusReason, plain.message, {
    code: codes[own] ?? 422,
    details: { ...plain.details, causes: [...(plain.details?.causes ?? []), { message: why }] },
  })
}
