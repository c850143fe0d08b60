import { describe, expect, it } from 'vitest'
import { parseYaml, readYamlText } from './yaml.ts'

it('takes a point for text, and what has a digit for a number', () => {
  expect(parseYaml('.: 1\na: .\nb: 1.\nc: .5\nd: -1.5\n')).toEqual({ '.': 1, a: '.', b: 1, c: 0.5, d: -1.5 })
})

describe('readYamlText()', () => {
  it.each([
    ['a list', '[a]: b'],
    ['an object', '{a: b}: c'],
    ['an alias of a list', 'x: &x [a]\n*x : b'],
    ['keys in keys', '? '.repeat(300)],
  ])('refuses a key that is %s', (_what, text) => {
    expect(() => readYamlText(text)).toThrow('error converting YAML to JSON: yaml: invalid map key: ')
  })

  it('refuses to merge what is no object', () => {
    expect(() => readYamlText('<<: 1')).toThrow('map merge requires map or sequence of maps')
  })

  it('takes a key that is an alias of text', () => {
    expect(readYamlText('x: &x a\n*x : b').value).toEqual({ x: 'a', a: 'b' })
  })
})
