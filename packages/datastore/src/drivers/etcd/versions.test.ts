import { expect, it } from 'vitest'
import { hasTombstoneBug } from './versions.ts'

it.each([
  ['3.3.27', true],
  ['3.4.23', true],
  ['3.4.35', true],
  ['3.4.36', false],
  ['3.5.17', true],
  ['3.5.18', false],
  ['3.6.0', false],
  ['3.6.0-rc.1', false],
  ['4.0.0', false],
  ['', true],
])('hasTombstoneBug(%j) is %j', (version, expected) => {
  expect(hasTombstoneBug(version)).toBe(expected)
})
