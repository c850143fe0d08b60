import { describe, expect, it } from 'vitest'
import { readPatch } from './apply-patch.ts'

const read = (type: string, text: string): unknown =>
  readPatch({ bytes: Buffer.from(text), contentType: `application/${type}` }, { supportsStrategic: true })

describe('readPatch()', () => {
  it.each([
    ['json-patch+json', '', 'error decoding patch: unexpected end of JSON input'],
    ['json-patch+json', '5', 'error decoding patch: json: cannot unmarshal number into Go value of type []handlers.jsonPatchOp'],
    ['json-patch+json', 'true', 'error decoding patch: json: cannot unmarshal bool into Go value of type []handlers.jsonPatchOp'],
    ['merge-patch+json', '{', 'error decoding patch: unexpected end of JSON input'],
    ['merge-patch+json', '[]', 'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}'],
    ['merge-patch+json', 'null', 'Invalid JSON Patch'],
    ['apply-patch+yaml', 'a: [', 'error decoding YAML: error converting YAML to JSON: yaml: line 1: '],
    ['strategic-merge-patch+json', '{x', "invalid character 'x' looking for beginning of object key string"],
    ['strategic-merge-patch+json', '"a"', 'json: cannot unmarshal string into Go value of type map[string]interface {}'],
  ])('refuses a %s of %j', (type, text, message) => {
    expect(() => read(type, text)).toThrow(message)
  })
})
