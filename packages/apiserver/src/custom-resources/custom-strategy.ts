import { forbidden, type KubernetesObject, type ResourceType } from '@k3s/api'
import type { CustomResourceDefinitionVersion, CustomResourceSubresourceScale } from '@k3s/api/types/apiextensions/v1'
import { copyJson, isObject } from '../json.ts'
import type { FieldError, RequestScope, ResourceStrategy } from '../registry/strategy.ts'
import { invalidValue } from '../validation/field-error.ts'
import { qualifiedName } from '../validation/names.ts'
import { customColumns } from './columns.ts'
import { Correlation } from './schema/correlation.ts'
import { applyDefaults } from './schema/defaults.ts'
import { compileJsonPath } from './schema/json-path.ts'
import { validateListTypes } from './schema/list-types.ts'
import { validateEmbedded } from './schema/object-meta.ts'
import { RuleValidator } from './schema/rules.ts'
import { propertyOf, type JsonMap, type Schema } from './schema/schema.ts'
import { ValueValidator } from './schema/values.ts'

export interface CustomStrategyOptions {
  readonly type: ResourceType
  readonly version: CustomResourceDefinitionVersion
  /** With pruned defaults; undefined when everything is kept. */
  readonly schema: Schema | undefined
  readonly isTerminating: boolean
}

// Rules are not asked about values that are not what they were made for.
const blocking = ['FieldValueNotSupported', 'FieldValueRequired', 'FieldValueTooLong', 'FieldValueTooMany', 'FieldValueTypeInvalid']
const standardFinalizers = ['kubernetes', 'orphan', 'foregroundDeletion']

/** Rules of one version of a custom resource. What its schema needs is compiled at the first write. */
export function customStrategy({ type, version, schema, isTerminating }: CustomStrategyOptions): ResourceStrategy {
  const { scale, status } = version.subresources ?? {}
  const checks = new SchemaChecks(schema)
  const selectable = (version.selectableFields ?? []).map(({ jsonPath }) => {
    const compiled = compileJsonPath(jsonPath)
    const read = (object: KubernetesObject): string => {
      const [value] = compiled?.find(object) ?? []
      return value === undefined || value === null ? '' : String(value)
    }
    return [jsonPath.replace(/^\./, ''), read] as const
  })
  return {
    type,
    hasGeneration: true,
    allowUnconditionalUpdate: false,
    allowsAnyFinalizer: true,
    defaults: (object) => applyDefaults(object, schema),
    prepareForCreate: (object) => {
      if (isTerminating) throw forbidden(type, object.metadata.name, 'create not allowed while custom resource definition is terminating')
      if (status !== undefined) delete jsonOf(object)['status']
    },
    validateCreate: (object, scope) => {
      warnAboutFinalizers(object, undefined, scope)
      const errors = [...checks.values(object, undefined), ...scaleSpec(object, scale), ...scaleStatus(object, scale)]
      return checks.withRules([...errors, ...checks.structure(object, undefined)], object, undefined, scope)
    },
    update: {
      validate: (object, previous, scope) => {
        warnAboutFinalizers(object, previous, scope)
        const errors = [...checks.values(object, previous), ...scaleSpec(object, scale), ...scaleStatus(object, scale)]
        return checks.withRules([...errors, ...checks.structure(object, previous)], object, previous, scope)
      },
    },
    status:
      status === undefined
        ? undefined
        : {
            prepare: (object, previous) => {
              const { managedFields } = object.metadata
              const { resourceVersion } = object.metadata
              object.metadata = copyJson({ ...previous.metadata, managedFields, resourceVersion })
              if (managedFields === undefined) delete object.metadata.managedFields
            },
            validate: (object, previous, scope) => {
              const errors = [...checks.statusValues(object, previous), ...scaleStatus(object, scale)]
              return checks.withRules([...errors, ...checks.lists(object, previous)], object, previous, scope)
            },
          },
    selectableFields: Object.fromEntries(selectable),
    columns: customColumns(version.additionalPrinterColumns ?? []),
  }
}

const jsonOf = (object: KubernetesObject): JsonMap => object as unknown as JsonMap // an API object is a JSON object

/** The checks that a schema asks for, each made when it is first needed. */
class SchemaChecks {
  readonly #schema: Schema | undefined
  #values: ValueValidator | undefined
  #status: ValueValidator | undefined
  #rules: { readonly validator: RuleValidator | undefined } | undefined

  constructor(schema: Schema | undefined) {
    this.#schema = schema
  }

  values(object: KubernetesObject, previous: KubernetesObject | undefined): FieldError[] {
    if (this.#schema === undefined) return []
    this.#values ??= new ValueValidator(this.#schema)
    const correlation = previous === undefined ? undefined : new Correlation(object, previous, this.#schema)
    return this.#values.validate(object, { correlation })
  }

  statusValues(object: KubernetesObject, previous: KubernetesObject): FieldError[] {
    const schema = propertyOf(this.#schema, 'status')
    if (schema === undefined || this.#schema === undefined || !Object.hasOwn(object, 'status')) return []
    this.#status ??= new ValueValidator(schema)
    const correlation = new Correlation(object, previous, this.#schema).key('status')
    return this.#status.validate(jsonOf(object)['status'], { at: 'status', correlation })
  }

  structure(object: KubernetesObject, previous: KubernetesObject | undefined): FieldError[] {
    return [...validateEmbedded(object, this.#schema, { isRoot: false }), ...this.lists(object, previous)]
  }

  /** Duplicates that were there before are tolerated. */
  lists(object: KubernetesObject, previous: KubernetesObject | undefined): FieldError[] {
    const errors = validateListTypes(object, this.#schema)
    return errors.length > 0 && previous !== undefined && validateListTypes(previous, this.#schema).length > 0 ? [] : errors
  }

  withRules(
    errors: readonly FieldError[],
    object: KubernetesObject,
    previous: KubernetesObject | undefined,
    scope: RequestScope,
  ): readonly FieldError[] {
    if (this.#schema === undefined) return errors
    this.#rules ??= { validator: RuleValidator.of(this.#schema, { isRoot: true }) }
    const { validator } = this.#rules
    if (validator === undefined) return errors
    if (errors.some(({ reason = '' }) => blocking.includes(reason)))
      return [
        ...errors,
        invalidValue(
          '<nil>',
          null,
          'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
        ),
      ]
    const correlation = previous === undefined ? undefined : new Correlation(object, previous, this.#schema)
    const found = validator.validate(object, { previous, correlation, maxCost: scope.maxRuleCost })
    for (const warning of found.warnings) scope.warn(warning)
    return [...errors, ...found.errors]
  }
}

function warnAboutFinalizers(object: KubernetesObject, previous: KubernetesObject | undefined, scope: RequestScope): void {
  const field = 'metadata.finalizers'
  const added = (object.metadata.finalizers ?? []).filter((name) => !(previous?.metadata.finalizers ?? []).includes(name))
  for (const name of [...new Set(added)].toSorted()) {
    for (const message of qualifiedName(name)) scope.warn(`${field}: ${JSON.stringify(name)}: ${message}`)
    if (name.includes('/') || standardFinalizers.includes(name)) continue
    const what = name.includes('.') ? 'a domain-qualified finalizer name including a path (/)' : 'a domain-qualified finalizer name'
    scope.warn(`${field}: ${JSON.stringify(name)}: prefer ${what} to avoid accidental conflicts with other finalizer writers`)
  }
}

function scaleSpec(object: KubernetesObject, scale: CustomResourceSubresourceScale | undefined): FieldError[] {
  return scale === undefined ? [] : replicas(object, scale.specReplicasPath)
}

function scaleStatus(object: KubernetesObject, scale: CustomResourceSubresourceScale | undefined): FieldError[] {
  if (scale === undefined) return []
  const errors = replicas(object, scale.statusReplicasPath)
  if (scale.labelSelectorPath !== undefined && scale.labelSelectorPath !== '') {
    const found = nested(object, scale.labelSelectorPath)
    if ('problem' in found) errors.push(invalidValue(scale.labelSelectorPath, '', found.problem))
    else if (found.value !== undefined && typeof found.value !== 'string')
      errors.push(invalidValue(scale.labelSelectorPath, '', wrongType(scale.labelSelectorPath, found.value, 'string')))
  }
  return errors
}

function replicas(object: KubernetesObject, where: string): FieldError[] {
  const found = nested(object, where)
  if ('problem' in found) return [invalidValue(where, 0, found.problem)]
  const { value } = found
  if (value === undefined) return []
  if (typeof value !== 'number' || !Number.isInteger(value)) return [invalidValue(where, 0, wrongType(where, value, 'int64'))]
  if (value < 0) return [invalidValue(where, value, 'should be a non-negative integer')]
  return value > 2147483647 ? [invalidValue(where, value, 'should be less than or equal to 2147483647')] : []
}

const goTypes: Readonly<Record<string, string>> = { string: 'string', boolean: 'bool', number: 'float64' }

function wrongType(where: string, value: unknown, wanted: string): string {
  const type = Array.isArray(value) ? '[]interface {}' : isObject(value) ? 'map[string]interface {}' : (goTypes[typeof value] ?? '<nil>')
  return `${where} accessor error: ${isObject(value) ? JSON.stringify(value) : String(value)} is of the type ${type}, expected ${wanted}`
}

function nested(object: KubernetesObject, where: string): { readonly value: unknown } | { readonly problem: string } {
  let value: unknown = object
  const names = where.replace(/^\./, '').split('.')
  for (const [index, name] of names.entries()) {
    if (!isObject(value)) return { problem: wrongType(`.${names.slice(0, index + 1).join('.')}`, value, 'map[string]interface{}') }
    if (!Object.hasOwn(value, name)) return { value: undefined }
    value = value[name]
  }
  return { value }
}
