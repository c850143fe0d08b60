import { apiservices, type APIService, type APIServiceCondition } from '@k3s/api/types/apiregistration/v1'
import { append } from '@k3s/lifecycle'
import type { FieldError, ResourceStrategy } from '../registry/strategy.ts'
import { ageColumn, column, nameColumn } from '../resources/shared/columns.ts'
import { keepStatus } from '../resources/shared/status-rules.ts'
import { invalidValue, notSupported, required } from '../validation/field-error.ts'
import { invalids } from '../validation/fields.ts'
import { dns1035Label, dns1123Subdomain, pathSegment, portNumber } from '../validation/names.ts'

const availableType = 'Available'
const defaultPort = 443

/** What the condition `Available` says; `lastTransitionTime` is kept as long as the status stays. */
export interface Availability {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

/** Of APIServices that this server answers itself. */
export const localAvailability: Availability = {
  status: 'True',
  reason: 'Local',
  message: 'Local APIServices are always available',
}

/** The condition `Available`. */
export function availabilityOf(service: APIService): APIServiceCondition | undefined {
  return service.status?.conditions?.find(({ type }) => type === availableType)
}

/** Puts the condition `Available` in place; `now` is RFC 3339. */
export function setAvailability(service: APIService, { status, reason, message }: Availability, now: string): void {
  const conditions = ((service.status ??= {}).conditions ??= [])
  const present = conditions.find(({ type }) => type === availableType)
  if (present === undefined) {
    conditions.push({ lastTransitionTime: now, message, reason, status, type: availableType })
    return
  }
  if (present.status !== status) Object.assign(present, { status, lastTransitionTime: now })
  Object.assign(present, { reason, message })
}

function validateName(name: string, { spec }: APIService): readonly string[] {
  const problems = pathSegment(name)
  if (problems.length > 0) return problems
  const wanted = `${spec.version ?? ''}.${spec.group ?? ''}`
  return name === wanted ? [] : [`must be \`spec.version+"."+spec.group\`: ${JSON.stringify(wanted)}`]
}

function validate({ spec }: APIService): FieldError[] {
  const { group = '', version = '', service, caBundle = '', insecureSkipTLSVerify = false } = spec
  const errors: FieldError[] = []
  if (group === '' && version !== 'v1') errors.push(required('spec.group', 'only v1 may have an empty group and it better be legacy kube'))
  if (group !== '') append(errors, invalids('spec.group', group, dns1123Subdomain(group)))
  append(errors, invalids('spec.version', version, dns1035Label(version)))
  const { groupPriorityMinimum = 0, versionPriority = 0 } = spec as Partial<typeof spec> // clients may leave them out
  if (groupPriorityMinimum <= 0 || groupPriorityMinimum > 20_000)
    errors.push(invalidValue('spec.groupPriorityMinimum', groupPriorityMinimum, 'must be positive and less than 20000'))
  if (versionPriority <= 0 || versionPriority > 1000)
    errors.push(invalidValue('spec.versionPriority', versionPriority, 'must be positive and less than 1000'))
  if (service === undefined) {
    const length = Buffer.from(caBundle, 'base64').length
    if (length > 0) errors.push(invalidValue('spec.caBundle', `${length} bytes`, 'local APIServices may not have a caBundle'))
    if (insecureSkipTLSVerify)
      errors.push(invalidValue('spec.insecureSkipTLSVerify', true, 'local APIServices may not have insecureSkipTLSVerify'))
    return errors
  }
  if (!service.namespace) errors.push(required('spec.service.namespace'))
  if (!service.name) errors.push(required('spec.service.name'))
  const { port = 0 } = service
  const problems = portNumber(port)
  if (problems.length > 0) errors.push(invalidValue('spec.service.port', port, `port is not valid: ${problems.join(', ')}`))
  if (insecureSkipTLSVerify && caBundle !== '')
    errors.push(invalidValue('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present'))
  return errors
}

const conditionStatuses = ['True', 'False', 'Unknown']

function validateStatus({ status }: APIService): FieldError[] {
  return (status?.conditions ?? []).flatMap((condition, index) =>
    conditionStatuses.includes(condition.status)
      ? []
      : [notSupported(`status.conditions[${index}].status`, condition.status, conditionStatuses)],
  )
}

function shownAvailability(service: APIService): string {
  const condition = availabilityOf(service)
  if (condition === undefined) return 'Unknown'
  return condition.status === 'True' || !condition.reason ? condition.status : `${condition.status} (${condition.reason})`
}

/** Rules of APIServices. */
export const apiServiceStrategy: ResourceStrategy<APIService> = {
  type: apiservices,
  hasGeneration: false,
  allowUnconditionalUpdate: false,
  allowsAnyFinalizer: true,
  validateName,
  defaults({ spec }) {
    if (spec?.service !== undefined) spec.service.port ??= defaultPort
  },
  prepareForCreate(service, { now }) {
    delete service.status
    service.status = {}
    if (service.spec.service === undefined) setAvailability(service, localAvailability, now)
  },
  validate,
  update: { prepare: keepStatus },
  status: {
    prepare(service, previous) {
      service.spec = structuredClone(previous.spec)
      for (const name of ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const) {
        if (previous.metadata[name] === undefined) delete service.metadata[name]
        else Object.assign(service.metadata, { [name]: structuredClone(previous.metadata[name]) })
      }
    },
    validate: validateStatus,
  },
  columns: [
    nameColumn(),
    column('Service', ({ spec }) => (spec.service === undefined ? 'Local' : `${spec.service.namespace}/${spec.service.name}`), {
      description: 'The reference to the service that hosts this API endpoint.',
    }),
    column('Available', shownAvailability, { description: 'Whether this service is available.' }),
    ageColumn(),
  ],
}
