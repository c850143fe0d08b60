import { describe, expect, it } from 'vitest'
import { schemaOf } from '../schema/table.ts'
import { restoreProblem } from './restore-problem.ts'

const problem = (object: Record<string, unknown>): string | undefined => {
  const type = schemaOf('v1', 'Pod')
  if (type === undefined) throw new Error('Pods are built in')
  return restoreProblem(object, type)
}

describe('restoreProblem()', () => {
  it.each([
    [{ metadata: { labels: 5 } }, 'cannot restore map from int64'],
    [{ metadata: { labels: { a: 5 } } }, 'cannot convert int64 to string'],
    [{ metadata: { labels: { a: true } } }, 'unrecognized type: string'],
    [{ spec: 'text' }, 'cannot restore struct from: string'],
    [{ spec: { containers: {} } }, 'cannot restore slice from map'],
    [{ spec: { containers: ['text'] } }, 'cannot restore struct from: string'],
    [{ spec: { hostNetwork: 'yes' } }, 'unrecognized type: bool'],
    [{ spec: { terminationGracePeriodSeconds: 'long' } }, 'unrecognized type: int64'],
    [{ spec: { terminationGracePeriodSeconds: 1.5 } }, 'cannot convert float64 to int64'],
  ])('tells what is wrong with %j', (object, expected) => {
    expect(problem(object)).toBe(expected)
  })

  it('tells what is no base64', () => {
    const secrets = schemaOf('v1', 'Secret')
    expect(secrets && restoreProblem({ data: { a: '!' } }, secrets)).toBe('error decoding from json: illegal base64 data at input byte 0')
  })

  it('finds nothing wrong with what fits, nulls and unknown fields', () => {
    expect(
      problem({ metadata: { name: 'a', labels: null }, spec: { containers: [{ name: 'c', ports: [{ containerPort: 1 }] }] }, more: 1 }),
    ).toBeUndefined()
  })
})
