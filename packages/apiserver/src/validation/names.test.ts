import { describe, expect, it } from 'vitest'
import { dns1035Label, dns1123Label, dns1123Subdomain, labelValue, portName, qualifiedName } from './names.ts'

const label =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const subdomain =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

describe('names', () => {
  it.each([
    [dns1123Label, 'a-1', []],
    [dns1123Label, 'A_b', [label]],
    [dns1123Label, 'a'.repeat(64), ['must be no more than 63 characters']],
    [dns1123Subdomain, 'a.b-c.d', []],
    [dns1123Subdomain, 'a..b', [subdomain]],
    [dns1123Subdomain, 'a'.repeat(254), ['must be no more than 253 characters']],
    [
      dns1035Label,
      '1a',
      [
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
      ],
    ],
    [qualifiedName, 'example.com/My.Name', []],
    [qualifiedName, '/a', ['prefix part must be non-empty']],
    [
      qualifiedName,
      'a/b/c',
      [
        "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
      ],
    ],
    [labelValue, '', []],
    [
      labelValue,
      'a b',
      [
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
      ],
    ],
    [portName, 'http', []],
    [portName, '80', ['must contain at least one letter (a-z)']],
    [portName, 'a--b', ['must not contain consecutive hyphens']],
  ] as const)('%o says of %s: %o', (check, value, messages) => {
    expect(check(value)).toEqual(messages)
  })
})
