import type { FieldError } from '../../registry/strategy.ts'
import { invalidValue, required, tooLong } from '../../validation/field-error.ts'
import { invalids } from '../../validation/fields.ts'
import { dns1123Label, dns1123Subdomain, maxSubdomainLength, regexError } from '../../validation/names.ts'
import { validateDriverName } from '../pods/volumes.ts'

const maxIdLength = 32
const identifierFormat = '[A-Za-z_][A-Za-z0-9_]*'
const identifierPattern = /^[A-Za-z_][A-Za-z0-9_]*$/
const identifierMessage = regexError(
  "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
  identifierFormat,
  'my_name',
  'MY_NAME',
  'MyName',
)

/** Longest key of an attribute or capacity: a domain, a slash and an identifier. */
export const maxQualifiedNameLength: number = 63 + 1 + maxIdLength

/** A name of a device, request or counter. */
export const labelProblems = (name: string, field: string): FieldError[] => invalids(field, name, dns1123Label(name))

/** Problems of the name of a pool: subdomains with slashes between them. */
export function poolNameProblems(name: string, field: string): FieldError[] {
  if (name === '') return [required(field)]
  const long = Buffer.byteLength(name) > maxSubdomainLength ? [tooLong(field, maxSubdomainLength)] : []
  return [...long, ...name.split('/').flatMap((part) => invalids(field, part, dns1123Subdomain(part)))]
}

function identifierProblems(id: string, field: string): FieldError[] {
  return [
    ...(Buffer.byteLength(id) > maxIdLength ? [tooLong(field, maxIdLength)] : []),
    ...(identifierPattern.test(id) ? [] : [invalidValue(field, id, identifierMessage)]),
  ]
}

/** Problems of the name of an attribute or capacity: an identifier that may have a domain. As upstream, which lets names with two slashes pass. */
export function qualifiedNameProblems(name: string, field: string): FieldError[] {
  const [first = '', second, ...more] = name.split('/')
  if (second === undefined) return identifierProblems(first, field)
  if (more.length > 0) return []
  return [
    ...(first === '' ? [invalidValue(field, '', 'the domain must not be empty')] : validateDriverName(first, field)),
    ...(second === '' ? [invalidValue(field, '', 'the name must not be empty')] : identifierProblems(second, field)),
  ]
}

/** As {@link qualifiedNameProblems}, of a name that must have a domain. */
export function fullyQualifiedNameProblems(name: string, field: string): FieldError[] {
  return [
    ...qualifiedNameProblems(name, field),
    ...(name.includes('/') ? [] : [invalidValue(field, name, 'a fully qualified name must be a domain and a name separated by a slash')]),
  ]
}

/** Problems of a UUID, which must be in lower case. */
export function uuidProblems(uid: string, field: string): FieldError[] {
  if (/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(uid)) return []
  const bare = uid.replace(/^urn:uuid:/i, '').replace(/^\{(.*)\}$/, '$1')
  const isOtherForm = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(bare)
  if (isOtherForm)
    return [
      invalidValue(
        field,
        uid,
        'uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters',
      ),
    ]
  const why = [32, 36, 38, 45].includes(uid.length) ? 'invalid UUID format' : `invalid UUID length: ${uid.length}`
  return [invalidValue(field, uid, `error validating uid: ${why}`)]
}
