import { describe, expect, it } from 'vitest'
import { formatSelector, matchesSelector, parseFieldSelector, parseLabelSelector, selects } from './selector.ts'

describe('parseLabelSelector()', () => {
  it.each([
    ['a=b', { a: 'b' }, true],
    ['a=b', { a: 'c' }, false],
    ['a==b,c', { a: 'b', c: '' }, true],
    ['a!=b', {}, true],
    ['a in (b, c)', { a: 'c' }, true],
    ['a notin (b,c)', { a: 'c' }, false],
    ['a in (,b)', { a: '' }, true],
    ['!a', { a: '' }, false],
    ['!a', {}, true],
    ['a>3', { a: '4' }, true],
    ['a<3', { a: '4' }, false],
    ['a>3', { a: 'x' }, false],
    ['a=', { a: '' }, true],
    ['', { a: 'b' }, true],
    ['app.kubernetes.io/name=x', { 'app.kubernetes.io/name': 'x' }, true],
  ])('%j on %j is %s', (text, labels, expected) => {
    expect(matchesSelector(parseLabelSelector(text), labels)).toBe(expected)
  })
  it.each(['a b', 'a in b', 'a in (b', '=b', 'a=b,', ',', 'a>x', 'a/b/c=d', '_=x'])('refuses %j', (text) => {
    expect(() => parseLabelSelector(text)).toThrow(expect.objectContaining({ reason: 'BadRequest' }))
  })
  it('prints in upstream’s form', () => {
    expect(formatSelector(parseLabelSelector('a == b, c in (e,d), !f, g, h != i'))).toBe('a=b,c in (d,e),!f,g,h notin (i)')
  })
})

describe('selects()', () => {
  it('takes an absent selector as none and an empty one as all', () => {
    expect(selects(undefined, {})).toBe(false)
    expect(selects({}, {})).toBe(true)
    expect(selects({ matchLabels: { a: 'b' }, matchExpressions: [{ key: 'c', operator: 'DoesNotExist' }] }, { a: 'b' })).toBe(true)
    expect(selects({ matchExpressions: [{ key: 'a', operator: 'Bogus' }] }, { a: 'b' })).toBe(false)
  })
})

describe('parseFieldSelector()', () => {
  it('reads terms and escapes', () => {
    expect(parseFieldSelector('metadata.name=a,status.phase!=Running,x==a\\,b')).toEqual([
      { field: 'metadata.name', isEqual: true, value: 'a' },
      { field: 'status.phase', isEqual: false, value: 'Running' },
      { field: 'x', isEqual: true, value: 'a,b' },
    ])
  })
  it('refuses what has no operator', () => {
    expect(() => parseFieldSelector('metadata.name')).toThrow(/can't understand/)
  })
})
