import { expect, it } from 'vitest'
import { fitMessage } from './fit-message.ts'

it.each([
  [{ nodes: 1, reasons: ['Insufficient cpu'] }, '0/1 nodes are available: 1 Insufficient cpu.'],
  [{ nodes: 12, reasons: [...Array(10).fill('b'), 'a', 'a'] }, '0/12 nodes are available: 10 b, 2 a.'],
  [{ nodes: 2, podReason: 'x', reasons: ['y'] }, '0/2 nodes are available: x.'],
  [{ nodes: 1, reasons: ['a'], preemption: 'preemption: b.' }, '0/1 nodes are available: 1 a. preemption: b.'],
  [{ nodes: 3 }, '0/3 nodes are available:'],
])('fitMessage(%j)', (options, expected) => {
  expect(fitMessage(options)).toBe(expected)
})
