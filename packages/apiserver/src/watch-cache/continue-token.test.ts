import { describe, expect, it } from 'vitest'
import { decodeContinue, encodeContinue } from './continue-token.ts'

const raw = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('continue tokens', () => {
  it('have the shape that upstream made public', () => {
    const token = encodeContinue({ revision: 7, start: 'default/a\u0000' })
    expect(JSON.parse(Buffer.from(token, 'base64url').toString())).toEqual({ v: 'meta.k8s.io/v1', rv: 7, start: 'default/a\u0000' })
    expect(decodeContinue(token)).toEqual({ revision: 7, start: 'default/a\u0000' })
  })

  it.each([
    ['text', '!!'],
    ['another version', raw({ v: 'v2', rv: 1, start: 'a' })],
    ['no revision', raw({ v: 'meta.k8s.io/v1', rv: 0, start: 'a' })],
    ['no start', raw({ v: 'meta.k8s.io/v1', rv: 1, start: '' })],
    ['a way out of the prefix', raw({ v: 'meta.k8s.io/v1', rv: 1, start: '../secrets/' })],
  ])('are refused when they are %s', (_what, token) => {
    expect(() => decodeContinue(token)).toThrow(/^invalid continue token: continue key is not valid/)
  })

  it('say what is wrong with their text', () => {
    const token = Buffer.from('{"v":}').toString('base64url')
    expect(() => decodeContinue(token)).toThrow("continue key is not valid: invalid character '}' looking for beginning of value")
  })
})
