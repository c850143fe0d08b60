import { invalidValue, required, tooLong } from '../../validation/field-error.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { invalids } from '../../validation/fields.ts'
import { dns1123Subdomain } from '../../validation/names.ts'

/** Problems of a signer's name, `domain/path`: at most 571 bytes; the path's segments are DNS subdomains joined with dots or slashes. */
export function signerName(field: string, name: string): FieldError[] {
  if (name === '') return [required(field)]
  const segments = name.split('/')
  if (segments.length !== 2)
    return [invalidValue(field, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")]
  const [domain = '', path = ''] = segments
  const errors = invalids(
    field,
    domain,
    dns1123Subdomain(domain).map((message) => `validating label ${JSON.stringify(domain)}: ${message}`),
  )
  if (domain.split('.').length < 2)
    errors.push(invalidValue(field, domain, 'should be a domain with at least two segments separated by dots'))
  if (path === '' || !/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(path)) {
    errors.push(
      ...invalids(
        field,
        path,
        dns1123Subdomain(path).map((message) => `validating label ${JSON.stringify(path)}: ${message}`),
      ),
    )
  }
  if (name.length > 571) errors.push(tooLong(field, 571))
  return errors
}
