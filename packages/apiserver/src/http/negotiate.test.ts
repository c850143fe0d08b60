import { describe, expect, it } from 'vitest'
import { negotiate } from './negotiate.ts'

const choose = (accept: string | undefined, transformable = true) => negotiate(accept, { transformable })

describe('negotiate()', () => {
  it.each([
    [undefined, 'object'],
    ['*/*', 'object'],
    ['application/vnd.kubernetes.protobuf,application/json', 'object'],
    ['application/vnd.kubernetes.protobuf', 'object'],
    ['application/json;as=Table;v=v1;g=meta.k8s.io,application/json', 'table'],
    ['application/json;as=Table;v=v9;g=meta.k8s.io,application/json', 'object'],
    [
      'application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json',
      'partial',
    ],
    ['application/json;q=0.1,application/json;as=Table;v=v1;g=meta.k8s.io', 'table'],
  ])('answers %s with %s', (accept, representation) => {
    expect(choose(accept)).toMatchObject({ representation, mediaType: 'application/json' })
  })

  it('answers YAML to people', () => {
    expect(choose('application/yaml').mediaType).toBe('application/yaml')
  })

  it('refuses what it cannot make', () => {
    expect(() => choose('image/png')).toThrow(/^406: Not Acceptable/)
    expect(() => choose('application/json;as=Table;v=v1;g=meta.k8s.io', false)).toThrow(/^only the following media types/)
  })
})
