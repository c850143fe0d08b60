import { forbidden } from '@k3s/api'
import {
  type CertificateSigningRequest,
  type CertificateSigningRequestCondition,
  certificatesigningrequests,
} from '@k3s/api/types/certificates/v1'
import { isSelfSigned } from '@k3s/pki'
import { append } from '@k3s/lifecycle'
import type { AccessAttributes, Authorizer, UserInfo } from '../../auth/auth.ts'
import { duplicate, forbiddenField, invalidValue, notSupported, required } from '../../validation/field-error.ts'
import type { FieldError, RequestScope, ResourceStrategy, Subresource } from '../../registry/strategy.ts'
import { age, column, humanDuration, nameColumn } from '../shared/columns.ts'
import { semanticEqual } from '../../validation/equality.ts'
import { signerName } from '../shared/signer-name.ts'
import { viewSubresource } from '../shared/view.ts'

const usages = [
  'any',
  'cert sign',
  'client auth',
  'code signing',
  'content commitment',
  'crl sign',
  'data encipherment',
  'decipher only',
  'digital signature',
  'email protection',
  'encipher only',
  'ipsec end system',
  'ipsec tunnel',
  'ipsec user',
  'key agreement',
  'key encipherment',
  'microsoft sgc',
  'netscape sgc',
  'ocsp signing',
  's/mime',
  'server auth',
  'signing',
  'timestamping',
]
const finalTypes = ['Approved', 'Denied', 'Failed']

type Conditions = readonly CertificateSigningRequestCondition[]
const conditionsOf = (request: CertificateSigningRequest): Conditions => request.status?.conditions ?? []
const ofType = (request: CertificateSigningRequest, type: string): Conditions =>
  conditionsOf(request).filter((condition) => condition.type === type)

function validateConditions(request: CertificateSigningRequest): FieldError[] {
  const field = 'status.conditions'
  const seen = new Set<string>()
  return conditionsOf(request).flatMap(({ type, status }, index) => {
    const errors: FieldError[] = type ? [] : [required(`${field}[${index}].type`)]
    const allowed = finalTypes.includes(type) ? ['True'] : ['False', 'True', 'Unknown']
    if (!status) errors.push(required(`${field}[${index}].status`))
    else if (!allowed.includes(status)) errors.push(notSupported(`${field}[${index}].status`, status, allowed))
    const other = type === 'Approved' ? 'Denied' : type === 'Denied' ? 'Approved' : ''
    if (seen.has(other)) errors.push(invalidValue(field, type, 'Approved and Denied conditions are mutually exclusive'))
    if (seen.has(type)) errors.push(duplicate(`${field}[${index}].type`, type))
    seen.add(type)
    return errors
  })
}

/** Why a request, PEM in base64, cannot be signed by anybody. */
function requestProblem(asked: string): string | undefined {
  try {
    return isSelfSigned(Buffer.from(asked, 'base64').toString()) ? undefined : 'x509: signature does not match the key of the request'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function validate(request: CertificateSigningRequest): FieldError[] {
  const { spec } = request
  const errors: FieldError[] = []
  const problem = requestProblem(spec.request ?? '')
  if (problem !== undefined) errors.push(invalidValue('spec.request', spec.request, problem))
  const list = spec.usages ?? []
  if (list.length === 0) errors.push(required('spec.usages'))
  for (const [index, usage] of list.entries()) {
    if (!usages.includes(usage)) errors.push(notSupported(`spec.usages[${index}]`, usage, usages))
    if (list.indexOf(usage) < index) errors.push(duplicate(`spec.usages[${index}]`, usage))
  }
  if (spec.signerName === 'kubernetes.io/legacy-unknown') {
    errors.push(invalidValue('spec.signerName', spec.signerName, 'the legacy signerName is not allowed via this API version'))
  } else append(errors, signerName('spec.signerName', spec.signerName ?? ''))
  if (spec.expirationSeconds !== undefined && spec.expirationSeconds < 600) {
    errors.push(
      invalidValue('spec.expirationSeconds', spec.expirationSeconds, 'may not specify a duration less than 600 seconds (10 minutes)'),
    )
  }
  return [...errors, ...validateConditions(request)]
}

function validateKept(request: CertificateSigningRequest, previous: CertificateSigningRequest): FieldError[] {
  return finalTypes
    .filter((type) => ofType(request, type).length < ofType(previous, type).length)
    .map((type) => forbiddenField('status.conditions', `updates may not remove a condition of type "${type}"`))
}

function validateStatus(request: CertificateSigningRequest, previous: CertificateSigningRequest): FieldError[] {
  const errors = [...validateConditions(request), ...validateKept(request, previous)]
  for (const type of ['Approved', 'Denied']) {
    const [now, then] = [ofType(request, type), ofType(previous, type)]
    if (now.length > then.length) errors.push(forbiddenField('status.conditions', `updates may not add a condition of type "${type}"`))
    else if (now.length === then.length && !semanticEqual(now, then))
      errors.push(forbiddenField('status.conditions', `updates may not modify a condition of type "${type}"\n`))
  }
  const [certificate, old] = [request.status?.certificate ?? '', previous.status?.certificate ?? '']
  if (certificate !== old && old !== '')
    errors.push(forbiddenField('status.certificate', 'updates may not modify existing certificate content'))
  return errors
}

/** Conditions tell when they changed, whether or not the client says so. */
function stampConditions(request: CertificateSigningRequest, previous: CertificateSigningRequest, scope: RequestScope): void {
  for (const condition of request.status?.conditions ?? []) {
    const old = ofType(previous, condition.type)[0]
    condition.lastUpdateTime ??= scope.now
    condition.lastTransitionTime ??= old?.status === condition.status ? old.lastTransitionTime : scope.now
  }
}

/** Whether a user may approve, sign, … for a signer: by its full name or by `domain/*`. */
export async function maySign(authorizer: Authorizer, user: UserInfo, verb: string, signer: string): Promise<boolean> {
  const ask = async (name: string): Promise<boolean> => {
    const attributes: AccessAttributes = {
      user,
      verb,
      name,
      isResource: true,
      group: 'certificates.k8s.io',
      version: '*',
      resource: 'signers',
      subresource: '',
      namespace: '',
      path: '',
    }
    return (await authorizer.authorize(attributes)).decision === 'allow'
  }
  return (await ask(signer)) || ask(`${signer.split('/')[0] ?? ''}/*`)
}

function approval(authorizer: Authorizer): Subresource {
  const view = viewSubresource<CertificateSigningRequest>({
    type: certificatesigningrequests,
    verbs: ['get', 'patch', 'update'],
    apply(request, given, scope) {
      const previous = structuredClone(request)
      request.status = { ...request.status, conditions: structuredClone(given.status?.conditions ?? []) }
      request.metadata.labels = given.metadata.labels
      request.metadata.annotations = given.metadata.annotations
      stampConditions(request, previous, scope)
    },
    validate: (request, previous) => [...validateConditions(request), ...validateKept(request, previous)],
  })
  return {
    ...view,
    async handle(asked) {
      if (asked.verb !== 'get') {
        const { spec } = await asked.operations.get(certificatesigningrequests, { namespace: '', name: asked.name })
        if (!(await maySign(authorizer, asked.scope.user, 'approve', spec.signerName))) {
          throw forbidden(
            certificatesigningrequests,
            asked.name,
            `user not permitted to approve requests with signerName "${spec.signerName}"`,
          )
        }
      }
      return view.handle(asked)
    },
  }
}

function statusText(request: CertificateSigningRequest): string {
  const has = (type: string): boolean => ofType(request, type).length > 0
  const decision = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending'
  return [decision, ...(has('Failed') ? ['Failed'] : []), ...(request.status?.certificate ? ['Issued'] : [])].join(',')
}

/** Rules for certificate signing requests. Approving needs `approve` on the signer. */
export function certificateSigningRequestStrategy(authorizer: Authorizer): ResourceStrategy<CertificateSigningRequest> {
  return {
    type: certificatesigningrequests,
    hasGeneration: false,
    validateName: () => [],
    prepareForCreate(request, { user }) {
      const { username: _name, uid: _uid, groups: _groups, extra: _extra, ...spec } = request.spec
      request.spec = {
        ...spec,
        username: user.name,
        groups: [...user.groups],
        ...(user.uid === undefined ? {} : { uid: user.uid }),
        ...(user.extra === undefined
          ? {}
          : { extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])) }),
      }
      request.status = {}
    },
    validate,
    update: {
      prepare(request, previous) {
        request.spec = structuredClone(previous.spec)
        request.status = structuredClone(previous.status ?? {})
      },
    },
    status: {
      prepare(request, previous, scope) {
        request.spec = structuredClone(previous.spec)
        stampConditions(request, previous, scope)
      },
      validate: validateStatus,
    },
    selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName },
    columns: [
      nameColumn(),
      column('Age', ({ metadata }, { nowMs }) => age(metadata.creationTimestamp, nowMs)),
      column('SignerName', ({ spec }) => spec.signerName || '<none>', { description: 'Who is to sign' }),
      column('Requestor', ({ spec }) => spec.username ?? '', { description: 'Who asks' }),
      column('RequestedDuration', ({ spec }) =>
        spec.expirationSeconds === undefined ? '<none>' : humanDuration(spec.expirationSeconds * 1000),
      ),
      column('Condition', statusText, { description: 'What became of the request' }),
    ],
    subresources: { approval: approval(authorizer) },
  }
}
