import { expect, it } from 'vitest'
import { textOf } from '../../../test/strategy-runs.ts'
import { validateSelectors } from './selectors.ts'

const problems = (expression: string): string[] => validateSelectors([{ cel: { expression } }], 'selectors').map(textOf)

it.each([
  'device.driver == "gpu.example.com"',
  'device.attributes["gpu.example.com"].isLarge',
  'device.capacity["gpu.example.com"].memory.compareTo(quantity("1Gi")) >= 0',
  'cel.bind(gpu, device.attributes["gpu.example.com"], gpu.model == "a" && gpu.isLarge)',
  'device.allowMultipleAllocations',
])('devices are selected by %s', (expression) => {
  expect(problems(expression)).toEqual([])
})

const at = 'selectors[0].cel.expression'
it.each([
  ['1 + 1', `${at}: Invalid value: "1 + 1": must evaluate to bool or the unknown type, not int`],
  [
    'other',
    `${at}: Invalid value: "other": compilation failed: ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n | other\n | ^`,
  ],
  [
    'device.other',
    `${at}: Invalid value: "device.other": compilation failed: ERROR: <input>:1:7: undefined field 'other'\n | device.other\n | ......^`,
  ],
])('%s selects no devices', (expression, expected) => {
  expect(problems(expression)).toEqual([expected.replaceAll('\n', '\n')])
})

it('expressions that may cost too much are refused', () => {
  const loop = (inner: string): string => `device.attributes.all(d, ${inner})`
  expect(problems(loop(loop(loop(loop('device.driver.matches("(a*)*b")')))).replaceAll('(d,', '(d,'))).toEqual([
    `${at}: Forbidden: too complex, exceeds cost limit`,
  ])
})

it('expressions are bounded', () => {
  expect(problems('a'.repeat(10 * 1024 + 1))).toEqual([`${at}: Too long: may not be more than 10240 bytes`])
})
