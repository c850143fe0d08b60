import { expect, it } from 'vitest'
import { decodeBody } from './codec.ts'

const decode = (text: string, contentType = 'application/yaml'): unknown =>
  decodeBody(
    { bytes: Buffer.from(text), contentType },
    { group: '', version: 'v1', kind: 'ConfigMap' },
    { fieldValidation: 'Strict', warn: () => {} },
  )

it.each([
  ['application/yaml', 'a: [', /^the object provided is unrecognized \(must be of type ConfigMap\): yaml: line 1: .* \(613a205b\)$/s],
  [
    'application/json',
    'nope',
    /^the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version\/kind; json parse error: invalid character 'o' in literal null \(expecting 'u'\) \(6e6f7065\)$/,
  ],
])('decodeBody() shows what begins like no %s', (type, text, message) => {
  expect(() => decode(text, type)).toThrow(message)
})
