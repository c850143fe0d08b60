import { describe, expect, it } from 'vitest'
import { humanDuration } from './columns.ts'
import { dns1035Label, dns1123Label, dns1123Subdomain, labelValue, portName, qualifiedName } from './names.ts'
import { validateObjectMeta, validateObjectMetaUpdate } from './object-meta.ts'

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

describe('validateObjectMeta()', () => {
  const rules = { namespaced: true, validateName: dns1123Subdomain }

  it('takes what is right', () => {
    const metadata = { name: 'a', namespace: 'b', labels: { 'example.com/x': 'y' }, annotations: { 'Example.com/Any': 'text\n' } }
    expect(validateObjectMeta(metadata, rules)).toEqual([])
  })

  it('names every problem', () => {
    const metadata = {
      name: '',
      namespace: '',
      labels: { 'a b': 'c' },
      annotations: { big: 'x'.repeat(262145) },
      finalizers: ['plain'],
      ownerReferences: [
        { apiVersion: 'v1', kind: 'Pod', name: 'a', uid: '1', controller: true },
        { apiVersion: 'v1', kind: 'Event', name: '', uid: '', controller: true },
      ],
    }
    const fields = validateObjectMeta(metadata, rules).map(({ field, reason }) => `${field} ${reason}`)
    expect(fields).toEqual(
      expect.arrayContaining([
        'metadata.name FieldValueRequired',
        'metadata.namespace FieldValueRequired',
        'metadata.labels FieldValueInvalid',
        'metadata.annotations FieldValueTooLong',
        'metadata.ownerReferences.name FieldValueInvalid',
        'metadata.ownerReferences.uid FieldValueInvalid',
        'metadata.ownerReferences FieldValueInvalid',
      ]),
    )
  })

  it('keeps what identifies an object', () => {
    const old = { name: 'a', namespace: 'b', uid: '1', resourceVersion: '1' }
    expect(validateObjectMetaUpdate({ ...old, name: 'c' }, old)).toMatchObject([
      { field: 'metadata.name', message: 'Invalid value: "c": field is immutable' },
    ])
    expect(validateObjectMetaUpdate(old, old)).toEqual([])
  })
})

describe('humanDuration()', () => {
  const second = 1000
  const minute = 60 * second
  const hour = 60 * minute
  const day = 24 * hour
  it.each([
    [-2 * second, '<invalid>'],
    [-second, '0s'],
    [0, '0s'],
    [119 * second, '119s'],
    [2 * minute, '2m'],
    [5 * minute + 3 * second, '5m3s'],
    [10 * minute, '10m'],
    [179 * minute, '179m'],
    [3 * hour, '3h'],
    [7 * hour + 59 * minute, '7h59m'],
    [47 * hour, '47h'],
    [3 * day + 4 * hour, '3d4h'],
    [8 * day + 4 * hour, '8d'],
    [729 * day, '729d'],
    [2 * 365 * day + 10 * day, '2y10d'],
    [9 * 365 * day, '9y'],
  ])('%i ms are %s', (milliseconds, text) => {
    expect(humanDuration(milliseconds)).toBe(text)
  })
})
