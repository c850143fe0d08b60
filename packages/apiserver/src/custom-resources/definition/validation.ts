import { X509Certificate } from 'node:crypto'
import type {
  CustomResourceConversion,
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
} from '@k3s/api/types/apiextensions/v1'
import { append } from '@k3s/lifecycle'
import { equalJson } from '../../json.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { validateService, validateUrl } from '../../resources/admission-registration/webhooks.ts'
import { duplicate, forbiddenField, invalidValue, required, tooMany } from '../../validation/field-error.ts'
import { immutable, oneOf } from '../../validation/fields.ts'
import { dns1035Label, dns1123Subdomain } from '../../validation/names.ts'
import { withPrunedDefaults } from '../schema/defaults.ts'
import { validFieldPath } from '../schema/json-path.ts'
import { itemsOf, someSchema, type Schema } from '../schema/schema.ts'
import { unstructuralReason, validateStructural } from '../schema/structural.ts'
import { validateDefaults } from '../schema/validate-defaults.ts'
import { approvalAnnotation, approvalState } from './approval.ts'
import { isConditionTrue } from './conditions.ts'
import { internalSpec, shownVersions, type InternalSpec, type VersionFacts } from './internal-spec.ts'
import { ruleScope } from './rule-checks.ts'
import { itemProblems, setItemProblems, validateSchemaRules } from './schema-rules.ts'

// More would make every write and list of the resource dearer.
const maxSelectableFields = 8
const columnTypes = ['boolean', 'date', 'integer', 'number', 'string']
const columnFormats = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password']
const reviewVersions = ['v1', 'v1beta1']
// Fields that a schema may have at its root when status is written apart: upstream names them as Go does.
const rootFields =
  '[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]'
const forbiddenAtRoot = [
  'id',
  '$schema',
  '$ref',
  'nullable',
  'default',
  'enum',
  'maxProperties',
  'minProperties',
  'allOf',
  'oneOf',
  'anyOf',
  'not',
  'additionalProperties',
  'patternProperties',
  'dependencies',
  'additionalItems',
  'definitions',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-list-type',
  'x-kubernetes-map-type',
] as const

/** What an update may leave as it was, although it would be refused today. */
interface Leniency {
  readonly requiresReviewVersion: boolean
  readonly requiresSchema: boolean
  readonly requiresValidTypes: boolean
  readonly requiresStructural: boolean
  readonly requiresPrunedDefaults: boolean
  readonly requiresAtomicSets: boolean
  readonly requiresMapKeys: boolean
  readonly allowsBadCa: boolean
  /** Versions whose schemas did not change: their rules' costs were accepted. */
  readonly unchangedSchemas: ReadonlySet<string>
  /** Versions (empty: all) that may keep too many selectable fields. */
  readonly tooManyFields: ReadonlySet<string>
}

const strict: Leniency = {
  requiresReviewVersion: true,
  requiresSchema: true,
  requiresValidTypes: true,
  requiresStructural: true,
  requiresPrunedDefaults: true,
  requiresAtomicSets: true,
  requiresMapKeys: true,
  // A definition is not established until its certificates are right.
  allowsBadCa: true,
  unchangedSchemas: new Set(),
  tooManyFields: new Set(),
}

/** Problems of a new definition besides those of its metadata. */
export function validateDefinition(definition: CustomResourceDefinition): FieldError[] {
  return [...validateSpec(definition.spec, strict), ...validateRest(definition, undefined)]
}

/** Problems of an update of a definition besides those of its metadata. */
export function validateDefinitionUpdate(definition: CustomResourceDefinition, previous: CustomResourceDefinition): FieldError[] {
  const { spec } = definition
  const errors = validateSpec(spec, leniencyFor(definition, previous))
  if (isConditionTrue(previous, 'Established')) {
    append(errors, immutable('spec.scope', spec.scope, previous.spec.scope))
    append(errors, immutable('spec.names.kind', spec.names.kind, previous.spec.names.kind))
  }
  append(errors, immutable('spec.group', spec.group, previous.spec.group))
  append(errors, immutable('spec.names.plural', spec.names.plural, previous.spec.names.plural))
  return [...errors, ...validateRest(definition, previous)]
}

/** Problems of an update of the status. */
export function validateDefinitionStatus({ status }: CustomResourceDefinition): FieldError[] {
  return status?.acceptedNames === undefined ? [] : validateNames(status.acceptedNames, 'status.acceptedNames')
}

/** What is wrong with the name of a new definition: it follows from what is defined. */
export function validateDefinitionName(name: string, { spec }: CustomResourceDefinition): readonly string[] {
  return [...dns1123Subdomain(name), ...(name === `${spec.names.plural}.${spec.group}` ? [] : ['must be spec.names.plural+"."+spec.group'])]
}

function validateRest(definition: CustomResourceDefinition, previous: CustomResourceDefinition | undefined): FieldError[] {
  const errors = [...validateDefinitionStatus(definition), ...validateStoredVersions(definition)]
  const state = approvalState(definition)
  const isSame = previous !== undefined && approvalState(previous)?.kind === state?.kind
  if (state !== undefined && !isSame && (state.kind === 'invalid' || state.kind === 'missing')) {
    const field = `metadata.annotations[${approvalAnnotation}]`
    errors.push(
      state.kind === 'missing'
        ? required(field, state.reason)
        : invalidValue(field, definition.metadata.annotations?.[approvalAnnotation], state.reason),
    )
  }
  if (definition.spec.preserveUnknownFields === true && previous?.spec.preserveUnknownFields !== true)
    errors.push(
      invalidValue(
        'spec.preserveUnknownFields',
        true,
        'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
      ),
    )
  return errors
}

function validateStoredVersions({ spec, status }: CustomResourceDefinition): FieldError[] {
  const field = 'status.storedVersions'
  const stored = status?.storedVersions ?? []
  if (stored.length === 0) return [invalidValue(field, null, 'must have at least one stored version')]
  const errors: FieldError[] = []
  for (const version of spec.versions)
    if (version.storage && !stored.includes(version.name))
      errors.push(invalidValue(field, stored, `must have the storage version ${version.name}`))
  for (const [index, name] of stored.entries())
    if (!spec.versions.some((version) => version.name === name))
      errors.push(
        invalidValue(
          `${field}[${index}]`,
          name,
          `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
        ),
      )
  return errors
}

function leniencyFor(definition: CustomResourceDefinition, previous: CustomResourceDefinition): Leniency {
  const schemas = schemasOf(previous.spec)
  const has = (test: (schema: Schema) => boolean): boolean => schemas.some((schema) => someSchema(schema, test))
  const isUnstructural = schemas.some((schema) => unstructuralReason(schema) !== undefined || validateStructural(schema, '').length > 0)
  const hooks = previous.spec.conversion?.webhook?.conversionReviewVersions ?? []
  const { caBundle } = previous.spec.conversion?.webhook?.clientConfig ?? {}
  const find = (name: string): CustomResourceDefinitionVersion | undefined =>
    previous.spec.versions.find((version) => version.name === name)
  const kept = (test: (version: CustomResourceDefinitionVersion, old: CustomResourceDefinitionVersion) => boolean): Set<string> =>
    new Set(
      definition.spec.versions.flatMap((version) => {
        const old = find(version.name)
        return old !== undefined && test(version, old) ? [version.name] : []
      }),
    )
  return {
    requiresReviewVersion: hooks.length === 0 || hooks.some((version) => reviewVersions.includes(version)),
    requiresSchema: previous.spec.versions.every(({ schema }) => schema?.openAPIV3Schema !== undefined),
    requiresValidTypes: !has(
      ({ type = '' }) => type !== '' && !['array', 'boolean', 'integer', 'number', 'object', 'string'].includes(type),
    ),
    requiresStructural: !isUnstructural,
    requiresPrunedDefaults: isUnstructural || schemas.every((schema) => withPrunedDefaults(schema) === schema),
    requiresAtomicSets: !has((schema) => {
      const items = itemsOf(schema)
      return schema['x-kubernetes-list-type'] === 'set' && items !== undefined && setItemProblems(items, '').length > 0
    }),
    requiresMapKeys: !has((schema) => itemProblems(schema, '').length > 0),
    allowsBadCa: !isConditionTrue(previous, 'Established') || (caBundle !== undefined && caBundleProblem(caBundle) !== undefined),
    unchangedSchemas: kept((version, old) => equalJson(version.schema, old.schema)),
    tooManyFields: kept(
      (version, old) =>
        (old.selectableFields ?? []).length > maxSelectableFields && equalJson(version.selectableFields, old.selectableFields),
    ),
  }
}

function schemasOf({ versions }: CustomResourceDefinitionSpec): Schema[] {
  return versions.flatMap(({ schema }) => (schema?.openAPIV3Schema === undefined ? [] : [schema.openAPIV3Schema]))
}

function validateSpec(spec: CustomResourceDefinitionSpec, leniency: Leniency): FieldError[] {
  const errors: FieldError[] = []
  const internal = internalSpec(spec)
  if ((spec.group ?? '') === '') errors.push(required('spec.group'))
  else {
    const problems = dns1123Subdomain(spec.group)
    if (problems.length > 0) errors.push(invalidValue('spec.group', spec.group, problems.join(',')))
    else if (!spec.group.includes('.')) errors.push(invalidValue('spec.group', spec.group, 'should be a domain with at least one dot'))
  }
  append(errors, oneOf('spec.scope', spec.scope, ['Cluster', 'Namespaced']))
  append(errors, missingSchemas(spec, internal, leniency))
  const isPreserving = spec.preserveUnknownFields === true
  if (isPreserving && schemasOf(spec).some((schema) => someSchema(schema, ({ default: value }) => value !== undefined)))
    errors.push(invalidValue('spec.preserveUnknownFields', true, 'must be false in order to use defaults in the schema'))
  append(errors, validateVersions(spec, internal, leniency))
  for (const name of ['plural', 'singular', 'kind', 'listKind'] as const)
    if ((spec.names[name] ?? '') === '') errors.push(required(`spec.names.${name}`))
  append(errors, validateNames(spec.names, 'spec.names'))
  const hasStatus = spec.versions.some(({ subresources }) => subresources?.status !== undefined)
  const isUnchanged = leniency.unchangedSchemas.has(spec.versions[0]?.name ?? '')
  append(errors, validateFacts(internal.common, 'spec', { schemaAt: 'spec.validation', hasStatus, isUnchanged, leniency, version: '' }))
  const strategy = spec.conversion?.strategy ?? 'None'
  if (isPreserving && strategy !== 'None')
    errors.push(invalidValue('spec.conversion.strategy', strategy, 'must be None if spec.preserveUnknownFields is true'))
  append(errors, validateConversion(spec.conversion, leniency))
  return errors
}

function missingSchemas(spec: CustomResourceDefinitionSpec, { common }: InternalSpec, { requiresSchema }: Leniency): FieldError[] {
  if (common.schema !== undefined) return []
  return spec.versions.flatMap(({ schema, served }, index) => {
    if (schema?.openAPIV3Schema !== undefined) return []
    const field = `spec.versions[${index}].schema.openAPIV3Schema`
    if (requiresSchema) return [required(field)]
    return served && spec.preserveUnknownFields !== true ? [required(field, 'because otherwise all fields are pruned')] : []
  })
}

function validateVersions(spec: CustomResourceDefinitionSpec, internal: InternalSpec, leniency: Leniency): FieldError[] {
  const errors: FieldError[] = []
  const { versions } = spec
  for (const [index, facts] of internal.versions.entries()) {
    const { version } = facts
    const field = `spec.versions[${index}]`
    const problems = dns1035Label(version.name)
    if (problems.length > 0) errors.push(invalidValue(`${field}.name`, version.name, problems.join(',')))
    append(errors, validateWarning(version, `${field}.deprecationWarning`))
    const hasStatus = version.subresources?.status !== undefined
    const isUnchanged = leniency.unchangedSchemas.has(version.name)
    append(errors, validateFacts(facts, field, { schemaAt: `${field}.schema`, hasStatus, isUnchanged, leniency, version: version.name }))
  }
  if (new Set(versions.map(({ name }) => name)).size < versions.length)
    errors.push(invalidValue('spec.versions', shownVersions(internal), 'must contain unique version names'))
  if (versions.filter(({ storage }) => storage).length !== 1)
    errors.push(invalidValue('spec.versions', shownVersions(internal), 'must have exactly one version marked as storage version'))
  const first = versions[0]?.name ?? ''
  const problems = first === '' ? [] : dns1035Label(first)
  if (problems.length > 0) errors.push(invalidValue('spec.version', first, problems.join(',')))
  return errors
}

function validateWarning({ deprecated = false, deprecationWarning }: CustomResourceDefinitionVersion, field: string): FieldError[] {
  if (deprecationWarning === undefined) return []
  if (!deprecated) return [invalidValue(field, deprecationWarning, 'can only be set for deprecated versions')]
  const errors: FieldError[] = []
  if (Buffer.byteLength(deprecationWarning) > 256) errors.push(invalidValue(field, deprecationWarning, 'must be <= 256 characters long'))
  if (deprecationWarning === '') errors.push(invalidValue(field, deprecationWarning, 'must not be an empty string'))
  const hidden = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.exec(deprecationWarning)
  if (hidden !== null)
    errors.push(
      invalidValue(
        field,
        deprecationWarning,
        `must only contain printable UTF-8 characters; non-printable character found at index ${Buffer.byteLength(deprecationWarning.slice(0, hidden.index))}`,
      ),
    )
  return errors
}

interface FactsContext {
  readonly schemaAt: string
  readonly hasStatus: boolean
  readonly isUnchanged: boolean
  readonly leniency: Leniency
  readonly version: string
}

function validateFacts(facts: VersionFacts, field: string, context: FactsContext): FieldError[] {
  const errors: FieldError[] = []
  if (facts.schema !== undefined) append(errors, validateSchema(facts.schema, context))
  if (facts.subresources !== undefined) append(errors, validateSubresources(facts.subresources, `${field}.subresources`))
  for (const [index, column] of facts.columns.entries()) {
    const at = `${field}.additionalPrinterColumns[${index}]`
    if (column.name === '') errors.push(required(`${at}.name`))
    if (column.type === '') errors.push(required(`${at}.type`, `must be one of ${columnTypes.join(',')}`))
    else if (!columnTypes.includes(column.type))
      errors.push(invalidValue(`${at}.type`, column.type, `must be one of ${columnTypes.join(',')}`))
    const { format = '' } = column
    if (format !== '' && !columnFormats.includes(format))
      errors.push(invalidValue(`${at}.format`, format, `must be one of ${columnFormats.join(',')}`))
    if (column.jsonPath === '') errors.push(required(`${at}.JSONPath`))
    else append(errors, simplePath(column.jsonPath, `${at}.JSONPath`))
  }
  append(errors, validateSelectableFields(facts, `${field}.selectableFields`, context))
  return errors
}

function validateSelectableFields({ selectableFields, schema }: VersionFacts, field: string, context: FactsContext): FieldError[] {
  if (selectableFields.length === 0 || schema === undefined) return []
  const errors: FieldError[] = []
  const seen = new Set<string>()
  for (const [index, { jsonPath }] of selectableFields.entries()) {
    const at = `${field}[${index}].jsonPath`
    if (jsonPath === '') {
      errors.push(required(at))
      continue
    }
    const found = validFieldPath(jsonPath, schema, { allowsBrackets: false })
    if (typeof found === 'string') {
      errors.push(invalidValue(at, jsonPath, `is an invalid path: ${found}`))
      continue
    }
    if (found.root === 'metadata') errors.push(invalidValue(at, jsonPath, 'must not point to fields in metadata'))
    if (!['string', 'boolean', 'integer'].includes(found.schema.type ?? ''))
      errors.push(
        invalidValue(
          at,
          jsonPath,
          'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
        ),
      )
    if (seen.has(found.field)) errors.push(duplicate(at, jsonPath))
    seen.add(found.field)
  }
  const isTolerated = context.version === '' ? context.leniency.tooManyFields.size > 0 : context.leniency.tooManyFields.has(context.version)
  if (seen.size > maxSelectableFields && !isTolerated) errors.push(tooMany(field, seen.size, maxSelectableFields))
  return errors
}

function validateSchema(schema: Schema, { schemaAt, hasStatus, isUnchanged, leniency }: FactsContext): FieldError[] {
  const errors: FieldError[] = []
  const at = `${schemaAt}.openAPIV3Schema`
  if (hasStatus) {
    const forbidden = forbiddenAtRoot.find((name) => isSet(schema[name]))
    if ((schema.type ?? '') !== '' && schema.type !== 'object')
      errors.push(
        invalidValue(
          `${at}.type`,
          schema.type,
          'only "object" is allowed as the type at the root of the schema if the status subresource is enabled',
        ),
      )
    else if (forbidden !== undefined)
      errors.push(
        invalidValue(at, schema, `only ${rootFields} fields are allowed at the root of the schema if the status subresource is enabled`),
      )
  }
  if (schema.nullable === true) errors.push(forbiddenField(`${at}.nullable`, 'nullable cannot be true at the root'))
  const unreadable = leniency.requiresStructural ? unstructuralReason(schema) : undefined
  let rules: ReturnType<typeof ruleScope> | undefined
  if (leniency.requiresStructural && unreadable === undefined) {
    const structural = validateStructural(schema, at)
    const defaults = structural.length > 0 ? [] : validateDefaults(schema, at, { requiresPruned: leniency.requiresPrunedDefaults })
    append(errors, structural, defaults)
    if (structural.length === 0 && defaults.length === 0) rules = ruleScope(schema, { ignoresCostOfOne: isUnchanged })
  }
  append(errors, validateSchemaRules(schema, at, leniency, rules))
  if (errors.length === 0 && unreadable !== undefined) errors.push(invalidValue(at, '', unreadable))
  if (rules !== undefined) append(errors, rules.total(at))
  return errors
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return false
  return !(Array.isArray(value) && value.length === 0)
}

function validateSubresources({ scale }: CustomResourceSubresources, field: string): FieldError[] {
  if (scale === undefined) return []
  const check = (name: 'specReplicasPath' | 'statusReplicasPath', root: string): FieldError[] => {
    const at = `${field}.scale.${name}`
    const text = scale[name]
    if (text === '') return [required(at)]
    const errors = simplePath(text, at)
    if (errors.length === 0 && !text.startsWith(`.${root}.`)) return [invalidValue(at, text, `should be a json path under .${root}`)]
    return errors
  }
  const errors = [...check('specReplicasPath', 'spec'), ...check('statusReplicasPath', 'status')]
  const { labelSelectorPath = '' } = scale
  if (labelSelectorPath !== '') {
    const at = `${field}.scale.labelSelectorPath`
    const problems = simplePath(labelSelectorPath, at)
    if (problems.length > 0) append(errors, problems)
    else if (!labelSelectorPath.startsWith('.spec.') && !labelSelectorPath.startsWith('.status.'))
      errors.push(invalidValue(at, labelSelectorPath, 'should be a json path under either .spec or .status'))
  }
  return errors
}

function simplePath(text: string, field: string): FieldError[] {
  return text.startsWith('.') ? [] : [invalidValue(field, text, 'must be a simple json path starting with .')]
}

function validateNames(names: Partial<CustomResourceDefinitionNames>, field: string): FieldError[] {
  const errors: FieldError[] = []
  const label = (value: string | undefined, at: string): void => {
    const problems = value === undefined || value === '' ? [] : dns1035Label(value)
    if (problems.length > 0) errors.push(invalidValue(at, value, problems.join(',')))
  }
  label(names.plural, `${field}.plural`)
  label(names.singular, `${field}.singular`)
  for (const name of ['kind', 'listKind'] as const) {
    const value = names[name] ?? ''
    const problems = value === '' ? [] : dns1035Label(value.toLowerCase())
    if (problems.length > 0)
      errors.push(invalidValue(`${field}.${name}`, value, `may have mixed case, but should otherwise match: ${problems.join(',')}`))
  }
  for (const [index, name] of (names.shortNames ?? []).entries()) label(name === '' ? '-' : name, `${field}.shortNames[${index}]`)
  if ((names.kind ?? '') !== '' && names.kind === names.listKind)
    errors.push(invalidValue(`${field}.listKind`, names.listKind, 'kind and listKind may not be the same'))
  for (const [index, name] of (names.categories ?? []).entries()) label(name === '' ? '-' : name, `${field}.categories[${index}]`)
  return errors
}

function validateConversion(conversion: CustomResourceConversion | undefined, leniency: Leniency): FieldError[] {
  if (conversion === undefined) return []
  const field = 'spec.conversion'
  const errors = oneOf(`${field}.strategy`, conversion.strategy, ['None', 'Webhook'])
  const { webhook } = conversion
  const reviews = webhook?.conversionReviewVersions ?? []
  if (conversion.strategy !== 'Webhook') {
    const detail = 'should not be set when strategy is not set to Webhook'
    if (webhook?.clientConfig !== undefined) errors.push(forbiddenField(`${field}.webhookClientConfig`, detail))
    if (reviews.length > 0) errors.push(forbiddenField(`${field}.conversionReviewVersions`, detail))
    return errors
  }
  const config = webhook?.clientConfig
  const at = `${field}.webhookClientConfig`
  if (config === undefined) errors.push(required(at, 'required when strategy is set to Webhook'))
  else {
    if ((config.url === undefined) === (config.service === undefined))
      errors.push(required(at, 'exactly one of url or service is required'))
    else if (config.url !== undefined) append(errors, validateUrl(config.url, `${at}.url`))
    else if (config.service !== undefined) append(errors, validateService(config.service, `${at}.service`))
    const problem = leniency.allowsBadCa || (config.caBundle ?? '') === '' ? undefined : caBundleProblem(config.caBundle ?? '')
    if (problem !== undefined) errors.push(invalidValue(`${at}.caBundle`, config.caBundle, problem))
  }
  return [...errors, ...validateReviewVersions(reviews, `${field}.conversionReviewVersions`, leniency)]
}

function validateReviewVersions(versions: readonly string[], field: string, { requiresReviewVersion }: Leniency): FieldError[] {
  if (versions.length === 0) return [required(field)]
  const errors: FieldError[] = []
  for (const [index, version] of versions.entries()) {
    if (versions.indexOf(version) < index) errors.push(invalidValue(`${field}[${index}]`, version, 'duplicate version'))
    else
      append(
        errors,
        dns1035Label(version).map((message) => invalidValue(`${field}[${index}]`, version, message)),
      )
  }
  if (requiresReviewVersion && !versions.some((version) => reviewVersions.includes(version)))
    errors.push(invalidValue(field, versions, `must include at least one of ${reviewVersions.join(', ')}`))
  return errors
}

// Made only to see whether it can be made.
const readCertificate = (pem: string): X509Certificate => new X509Certificate(pem)

/** What is wrong with a bundle of CA certificates (base64 of PEM); undefined when nothing is. */
export function caBundleProblem(bundle: string): string | undefined {
  const pem = Buffer.from(bundle, 'base64').toString('latin1')
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) return 'unable to load root certificates: unable to parse bytes as PEM block'
  try {
    for (const block of blocks) readCertificate(block)
    return undefined
  } catch (error) {
    return `unable to load root certificates: ${error instanceof Error ? error.message : String(error)}`
  }
}
