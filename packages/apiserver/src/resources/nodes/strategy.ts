import { type Node, nodes, type Taint } from '@k3s/api/types/core/v1'
import { duplicate, forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { taintEffects } from '../pods/scheduling.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { invalids } from '../../validation/fields.ts'
import { cidrFamilyOf, validateCidr } from '../shared/ip.ts'
import { labelValue, qualifiedName } from '../../validation/names.ts'
import { canonicalizeResources } from '../shared/resource-list.ts'
import { validateAmount } from '../shared/resource-validation.ts'
import { statusUpdate } from '../shared/status-rules.ts'
import { nodeColumns } from './columns.ts'

function defaults(node: Node): void {
  node.spec ??= {}
  const status = (node.status ??= {})
  canonicalizeResources(status.capacity)
  canonicalizeResources(status.allocatable)
  if (status.capacity !== undefined) status.allocatable ??= { ...status.capacity }
  status.daemonEndpoints ??= { kubeletEndpoint: { Port: 0 } }
  status.nodeInfo ??= {
    architecture: '',
    bootID: '',
    containerRuntimeVersion: '',
    kernelVersion: '',
    kubeProxyVersion: '',
    kubeletVersion: '',
    machineID: '',
    operatingSystem: '',
    osImage: '',
    systemUUID: '',
  }
  // `podCIDR` is the first of `podCIDRs`; old clients know only one of them.
  const { spec } = node
  if (spec.podCIDR && spec.podCIDRs?.[0] !== spec.podCIDR) spec.podCIDRs = [spec.podCIDR]
  else if ((spec.podCIDRs ?? []).length > 0) spec.podCIDR = spec.podCIDRs?.[0]
}

function validateTaints(taints: readonly Taint[] | undefined): FieldError[] {
  const seen = new Set<string>()
  return (taints ?? []).flatMap((taint, index) => {
    const at = `metadata.taints[${index}]`
    const errors = invalids(`${at}.key`, taint.key, qualifiedName(taint.key))
    const problems = labelValue(taint.value ?? '')
    if (problems.length > 0) errors.push(invalidValue(`${at}.value`, taint.value, problems.join(';')))
    if (!taint.effect) errors.push(required(`${at}.effect`))
    else if (!taintEffects.includes(taint.effect)) errors.push(notSupported(`${at}.effect`, taint.effect, taintEffects))
    const key = `${taint.effect} ${taint.key}`
    if (seen.has(key)) {
      const error = duplicate(at, taint)
      errors.push({ ...error, message: `${error.message}: taints must be unique by key and effect pair` })
    }
    seen.add(key)
    return errors
  })
}

function validateAmounts(node: Node): FieldError[] {
  return (['capacity', 'allocatable'] as const).flatMap((list) =>
    Object.entries(node.status?.[list] ?? {}).flatMap(([name, amount]) => validateAmount(name, amount, `status.${list}.${name}`)),
  )
}

function validate(node: Node): FieldError[] {
  const cidrs = node.spec.podCIDRs ?? []
  const errors = [
    ...validateTaints(node.spec.taints),
    ...validateAmounts(node),
    ...cidrs.flatMap((cidr, index) => validateCidr(`spec.podCIDRs[${index}]`, cidr)),
  ]
  if (cidrs.length > 1 && (cidrs.length > 2 || cidrFamilyOf(cidrs[0] ?? '') === cidrFamilyOf(cidrs[1] ?? ''))) {
    errors.push(invalidValue('spec.podCIDRs', cidrs, 'may specify no more than one CIDR for each IP family'))
  }
  return errors
}

function validateUpdate(node: Node, previous: Node): FieldError[] {
  const errors: FieldError[] = []
  const [now, then] = [node.spec, previous.spec]
  if ((then.podCIDRs ?? []).length > 0 && !semanticEqual(now.podCIDRs, then.podCIDRs)) {
    errors.push(forbiddenField('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'))
  }
  if (then.providerID && then.providerID !== now.providerID) {
    errors.push(forbiddenField('spec.providerID', 'node updates may not change providerID except from "" to valid'))
  }
  if ((now.externalID ?? '') !== (then.externalID ?? '')) errors.push(forbiddenField('spec.externalID', 'may not be updated'))
  return errors
}

function validateStatus(node: Node): FieldError[] {
  const addresses = node.status?.addresses ?? []
  const seen = new Set<string>()
  return [
    ...validateAmounts(node),
    ...addresses.flatMap((address, index) => {
      const key = `${address.type} ${address.address}`
      const errors = seen.has(key) ? [duplicate(`status.addresses[${index}]`, address)] : []
      seen.add(key)
      return errors
    }),
  ]
}

function nodeWarnings({ spec }: Node): readonly string[] {
  return [
    ...(spec.configSource === undefined ? [] : ['spec.configSource: the feature is removed']),
    ...(spec.externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
  ]
}

/** Rules for nodes. A kubelet may register with a status. */
export const nodeStrategy: ResourceStrategy<Node> = {
  type: nodes,
  hasGeneration: false,
  defaults,
  prepareForCreate({ spec, status }) {
    // What is configured by kubelets' own files only, by now.
    delete spec.configSource
    delete status?.config
  },
  validate,
  warningsOnCreate: nodeWarnings,
  update: {
    warnings: nodeWarnings,
    prepare(node, previous) {
      if (previous.spec.configSource === undefined) delete node.spec.configSource
      node.status = structuredClone(previous.status)
    },
    validate: validateUpdate,
  },
  status: statusUpdate(validateStatus),
  selectableFields: { 'spec.unschedulable': (node) => String(node.spec.unschedulable ?? false) },
  columns: nodeColumns,
}
