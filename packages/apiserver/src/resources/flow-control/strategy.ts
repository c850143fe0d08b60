import {
  type FlowSchema,
  flowschemas,
  type NonResourcePolicyRule,
  type PolicyRulesWithSubjects,
  type PriorityLevelConfiguration,
  prioritylevelconfigurations,
  type QueuingConfiguration,
  type ResourcePolicyRule,
  type Subject,
} from '@k3s/api/types/flowcontrol/v1'
import { append } from '@k3s/lifecycle'
import { duplicate, forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, ResourceStrategy } from '../../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../shared/columns.ts'
import { invalids, oneOf, requiredString } from '../../validation/fields.ts'
import { dns1123Label, dns1123Subdomain } from '../../validation/names.ts'
import { keepStatus, statusUpdate } from '../shared/status-rules.ts'

const maxPrecedence = 10000
const maxQueues = 10_000_000
/** Dealing a hand out of the queues takes this many bits of a hash. */
const hashBits = 60
const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch']

interface Condition {
  readonly type?: string | undefined
}

function validateConditions(conditions: readonly Condition[] | undefined): FieldError[] {
  const types = (conditions ?? []).map(({ type }) => type ?? '')
  return types.flatMap((type, index) => {
    const field = `status.conditions[${index}].type`
    return [...(types.indexOf(type) < index ? [duplicate(field, type)] : []), ...requiredString(field, type)]
  })
}

const parts = ['User', 'Group', 'ServiceAccount'] as const
const nameOfPart = { User: 'user', Group: 'group', ServiceAccount: 'serviceAccount' } as const

function validateSubject(subject: Subject, field: string): FieldError[] {
  const kind = parts.find((part) => part === subject.kind)
  if (kind === undefined) return [notSupported(`${field}.kind`, subject.kind, ['Group', 'ServiceAccount', 'User'])]
  const part = nameOfPart[kind]
  const at = `${field}.${part}`
  const value = subject[part]
  const errors: FieldError[] = []
  if (value === undefined) errors.push(required(at, `${part} is required when subject kind is '${kind}'`))
  else {
    if (!value.name) errors.push(required(`${at}.name`))
    else if (kind === 'ServiceAccount' && value.name !== '*')
      append(errors, invalids(`${at}.name`, value.name, dns1123Subdomain(value.name)))
    if (kind === 'ServiceAccount') {
      const namespace = subject.serviceAccount?.namespace ?? ''
      const missing = required(`${at}.namespace`, 'must specify namespace for service account')
      append(errors, namespace === '' ? [missing] : invalids(`${at}.namespace`, namespace, dns1123Label(namespace)))
    }
  }
  for (const other of kind === 'ServiceAccount' ? (['User', 'Group'] as const) : (['ServiceAccount', 'User', 'Group'] as const)) {
    const name = nameOfPart[other]
    if (other !== kind && subject[name] !== undefined) {
      errors.push(forbiddenField(`${field}.${name}`, `${name} is forbidden when subject kind is not '${other}'`))
    }
  }
  return errors
}

/** A list that is not empty, and in which `*` stands alone. */
function validateList(values: readonly string[] | undefined, field: string, missing: string, what: string): FieldError[] {
  if (values === undefined || values.length === 0) return [required(field, missing)]
  return values.length > 1 && values.includes('*') ? [invalidValue(field, values, `if '*' is present, must not specify other ${what}`)] : []
}

function validateVerbs(given: readonly string[], field: string): FieldError[] {
  const errors = validateList(given, field, 'verbs must contain at least one value', 'verbs')
  if (errors.length > 0 || given.includes('*') || given.every((verb) => verbs.includes(verb))) return errors
  return [notSupported(field, given, verbs)]
}

function validateResourceRule(rule: ResourcePolicyRule, field: string): FieldError[] {
  const { namespaces = [] } = rule
  const at = `${field}.namespaces`
  const namespaceErrors = (): FieldError[] => {
    if (namespaces.length === 0) {
      return rule.clusterScope === true
        ? []
        : [required(at, 'resource rules that are not cluster scoped must supply at least one namespace')]
    }
    if (namespaces.includes('*')) return validateList(namespaces, at, '', 'namespaces')
    const intro = "each member of this list must be '*' or a DNS-1123 label; "
    return namespaces.flatMap((namespace, index) =>
      invalids(
        `${at}[${index}]`,
        namespace,
        dns1123Label(namespace).map((message) => `${intro}${message}`),
      ),
    )
  }
  return [
    ...validateVerbs(rule.verbs, `${field}.verbs`),
    ...validateList(rule.apiGroups, `${field}.apiGroups`, 'resource rules must supply at least one api group', 'api groups'),
    ...validateList(rule.resources, `${field}.resources`, 'resource rules must supply at least one resource', 'resources'),
    ...namespaceErrors(),
  ]
}

function validatePath(path: string, field: string): FieldError[] {
  if (path === '') return [invalidValue(field, path, 'must not be empty')]
  if (path === '/') return []
  if (!path.startsWith('/')) return [invalidValue(field, path, 'must start with slash')]
  if (path.includes(' ')) return [invalidValue(field, path, 'must not contain white-space')]
  if (path.includes('//')) return [invalidValue(field, path, 'must not contain double slash')]
  const star = path.indexOf('*')
  return star !== -1 && !(star === path.length - 1 && path.endsWith('/*'))
    ? [invalidValue(field, path, 'wildcard can only do suffix matching')]
    : []
}

function validateNonResourceRule(rule: NonResourcePolicyRule, field: string): FieldError[] {
  const at = `${field}.nonResourceURLs`
  return [
    ...validateVerbs(rule.verbs, `${field}.verbs`),
    ...validateList(rule.nonResourceURLs, at, 'nonResourceURLs must contain at least one value', 'non-resource URLs'),
    ...(rule.nonResourceURLs.includes('*') ? [] : rule.nonResourceURLs.flatMap((path, index) => validatePath(path, `${at}[${index}]`))),
  ]
}

function validateRule({ subjects, resourceRules = [], nonResourceRules = [] }: PolicyRulesWithSubjects, field: string): FieldError[] {
  return [
    ...(subjects.length === 0 ? [required(`${field}.subjects`, 'subjects must contain at least one value')] : []),
    ...subjects.flatMap((subject, index) => validateSubject(subject, `${field}.subjects[${index}]`)),
    ...(resourceRules.length + nonResourceRules.length === 0
      ? [required(field, 'at least one of resourceRules and nonResourceRules has to be non-empty')]
      : []),
    ...resourceRules.flatMap((rule, index) => validateResourceRule(rule, `${field}.resourceRules[${index}]`)),
    ...nonResourceRules.flatMap((rule, index) => validateNonResourceRule(rule, `${field}.nonResourceRules[${index}]`)),
  ]
}

function validateFlowSchema({ metadata, spec, status }: FlowSchema): FieldError[] {
  const errors: FieldError[] = []
  const { matchingPrecedence: precedence = 0, distinguisherMethod, priorityLevelConfiguration, rules = [] } = spec
  const field = 'spec.matchingPrecedence'
  if (precedence <= 0) errors.push(invalidValue(field, precedence, 'must be a positive value'))
  if (precedence > maxPrecedence) errors.push(invalidValue(field, precedence, `must not be greater than ${maxPrecedence}`))
  if (precedence === 1 && metadata.name !== 'exempt') {
    errors.push(invalidValue(field, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"))
  }
  if (distinguisherMethod !== undefined && !['ByNamespace', 'ByUser'].includes(distinguisherMethod.type)) {
    errors.push(notSupported('spec.distinguisherMethod.type', distinguisherMethod, ['ByNamespace', 'ByUser']))
  }
  const level = 'spec.priorityLevelConfiguration.name'
  const { name } = priorityLevelConfiguration
  return [
    ...errors,
    ...(name ? invalids(level, name, dns1123Subdomain(name)) : [required(level, 'must reference a priority level')]),
    ...rules.flatMap((rule, index) => validateRule(rule, `spec.rules[${index}]`)),
    ...validateConditions(status?.conditions),
  ]
}

/** Rules for flow schemas. */
export const flowSchemaStrategy: ResourceStrategy<FlowSchema> = {
  type: flowschemas,
  hasGeneration: true,
  defaults({ spec }) {
    spec.matchingPrecedence ||= 1000
  },
  prepareForCreate(schema) {
    delete schema.status
  },
  validate: validateFlowSchema,
  update: { prepare: keepStatus },
  status: statusUpdate(({ status }) => validateConditions(status?.conditions)),
  columns: [
    nameColumn(),
    column('PriorityLevel', ({ spec }) => spec.priorityLevelConfiguration.name),
    column('MatchingPrecedence', ({ spec }) => spec.matchingPrecedence ?? 0),
    column('DistinguisherMethod', ({ spec }) => spec.distinguisherMethod?.type ?? '<none>'),
    ageColumn(),
    column('MissingPL', ({ status }) => status?.conditions?.find(({ type }) => type === 'Dangling')?.status ?? '?'),
  ],
}

function validateQueuing({ queues = 0, handSize = 0, queueLengthLimit = 0 }: QueuingConfiguration, field: string): FieldError[] {
  const errors: FieldError[] = []
  if (queueLengthLimit <= 0) errors.push(invalidValue(`${field}.queueLengthLimit`, queueLengthLimit, 'must be positive'))
  if (queues <= 0) errors.push(invalidValue(`${field}.queues`, queues, 'must be positive'))
  else if (queues > maxQueues) errors.push(invalidValue(`${field}.queues`, queues, `must not be greater than ${maxQueues}`))
  const at = `${field}.handSize`
  if (handSize <= 0) errors.push(invalidValue(at, handSize, 'must be positive'))
  else if (handSize > queues) {
    errors.push(invalidValue(at, handSize, `should not be greater than queues (${queues})`))
  } else {
    let bits = 0
    for (let left = queues; left > queues - handSize; left--) bits += Math.log2(left)
    const needed = Math.ceil(bits)
    if (needed > hashBits) {
      errors.push(
        invalidValue(
          at,
          handSize,
          `required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${hashBits}`,
        ),
      )
    }
  }
  return errors
}

const isPercent = (value: number | undefined): boolean => value === undefined || (value >= 0 && value <= 100)

function validateLevel({ metadata, spec, status }: PriorityLevelConfiguration): FieldError[] {
  const errors: FieldError[] = []
  const { type, exempt, limited } = spec
  if ((metadata.name === 'exempt') !== (type === 'Exempt')) {
    errors.push(invalidValue('spec.type', type, "must be 'Exempt' if and only if `name` is 'exempt'"))
  }
  const percent = (field: string, value: number | undefined): FieldError[] =>
    isPercent(value) ? [] : [invalidValue(field, value, 'must be between 0 and 100, inclusive')]
  const shares = (field: string, value: number | undefined): FieldError[] =>
    value !== undefined && value < 0 ? [invalidValue(field, value, 'must be a non-negative integer')] : []
  if (type === 'Exempt') {
    if (limited !== undefined) errors.push(forbiddenField('spec.limited', 'must be nil if the type is not Limited'))
    append(errors, shares('spec.exempt.nominalConcurrencyShares', exempt?.nominalConcurrencyShares))
    append(errors, percent('spec.exempt.lendablePercent', exempt?.lendablePercent))
  } else if (type === 'Limited') {
    if (exempt !== undefined) errors.push(forbiddenField('spec.exempt', 'must be nil if the type is Limited'))
    if (limited === undefined) errors.push(required('spec.limited', 'must not be empty when type is Limited'))
    else {
      append(errors, shares('spec.limited.nominalConcurrencyShares', limited.nominalConcurrencyShares))
      const response = limited.limitResponse
      const at = 'spec.limited.limitResponse'
      if (response?.type === 'Reject') {
        if (response.queuing !== undefined)
          errors.push(forbiddenField(`${at}.queuing`, 'must be nil if limited.limitResponse.type is not Limited'))
      } else if (response?.type === 'Queue') {
        if (response.queuing === undefined)
          errors.push(required(`${at}.queuing`, 'must not be empty if limited.limitResponse.type is Limited'))
        else append(errors, validateQueuing(response.queuing, `${at}.queuing`))
      } else append(errors, oneOf(`${at}.type`, response?.type, ['Queue', 'Reject']))
      append(errors, percent('spec.limited.lendablePercent', limited.lendablePercent))
      const borrowing = limited.borrowingLimitPercent
      if (borrowing !== undefined && borrowing < 0) {
        errors.push(invalidValue('spec.limited.borrowingLimitPercent', borrowing, 'if specified, must be a non-negative integer'))
      }
    }
  } else append(errors, oneOf('spec.type', type, ['Exempt', 'Limited']))
  return [...errors, ...validateConditions(status?.conditions)]
}

const limitedValue =
  (pick: (limited: NonNullable<PriorityLevelConfiguration['spec']['limited']>) => number | undefined) =>
  ({ spec }: PriorityLevelConfiguration): number | string =>
    spec.limited === undefined ? '<none>' : (pick(spec.limited) ?? '<none>')

/** Rules for priority levels. */
export const priorityLevelStrategy: ResourceStrategy<PriorityLevelConfiguration> = {
  type: prioritylevelconfigurations,
  hasGeneration: true,
  defaults({ spec: { exempt, limited } }) {
    if (exempt !== undefined) {
      exempt.nominalConcurrencyShares ??= 0
      exempt.lendablePercent ??= 0
    }
    if (limited === undefined) return
    limited.nominalConcurrencyShares ??= 30
    limited.lendablePercent ??= 0
    const queuing = limited.limitResponse?.queuing
    if (queuing === undefined) return
    queuing.handSize ||= 8
    queuing.queues ||= 64
    queuing.queueLengthLimit ||= 50
  },
  prepareForCreate(level) {
    delete level.status
  },
  validate: validateLevel,
  update: { prepare: keepStatus },
  status: statusUpdate(({ status }) => validateConditions(status?.conditions)),
  columns: [
    nameColumn(),
    column('Type', ({ spec }) => spec.type),
    column(
      'NominalConcurrencyShares',
      limitedValue((limited) => limited.nominalConcurrencyShares),
    ),
    column(
      'Queues',
      limitedValue(({ limitResponse }) => limitResponse?.queuing?.queues),
    ),
    column(
      'HandSize',
      limitedValue(({ limitResponse }) => limitResponse?.queuing?.handSize),
    ),
    column(
      'QueueLengthLimit',
      limitedValue(({ limitResponse }) => limitResponse?.queuing?.queueLengthLimit),
    ),
    ageColumn(),
  ],
}
