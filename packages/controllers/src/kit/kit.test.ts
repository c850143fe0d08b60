import { FakeClock } from '@k3s/lifecycle'
import type { KubernetesObject } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import { planClaims } from './claim.ts'
import { canonicalJson, isSemanticallyEqual } from './equal.ts'
import { Expectations } from './expectations.ts'
import { templateHash } from './hash.ts'
import { scaledValue } from './scale.ts'
import { slowStart } from './slow-start.ts'

describe('isSemanticallyEqual()', () => {
  it.each([
    [{ a: 1, b: undefined }, { a: 1 }, true],
    [{ a: [] }, {}, true],
    [{ a: null }, {}, true],
    [{ a: {} }, {}, false],
    [{ a: [1, 2] }, { a: [2, 1] }, false],
    [{ a: { b: 1, c: 2 } }, { a: { c: 2, b: 1 } }, true],
  ])('%j and %j', (a, b, expected) => {
    expect(isSemanticallyEqual(a, b)).toBe(expected)
    expect(canonicalJson(a) === canonicalJson(b)).toBe(expected)
  })
})

describe('templateHash()', () => {
  it('depends on the meaning and the collision count only, and is safe in labels', () => {
    const hash = templateHash({ a: 1, b: [] })
    expect(hash).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{10}$/)
    expect(templateHash({ b: null, a: 1 })).toBe(hash)
    expect(new Set([hash, templateHash({ a: 2 }), templateHash({ a: 1 }, 0), templateHash({ a: 1 }, 1)]).size).toBe(4)
  })
})

describe('scaledValue()', () => {
  it.each([
    [3, 10, 'up', 3],
    ['25%', 10, 'up', 3],
    ['25%', 10, 'down', 2],
    ['100%', 0, 'up', 0],
    [undefined, 10, 'up', 0],
  ] as const)('%s of %i, rounded %s', (value, total, round, expected) => {
    expect(scaledValue(value, total, round)).toBe(expected)
  })
})

describe('Expectations', () => {
  it('are fulfilled when everything was seen, or after their time', async () => {
    const clock = new FakeClock()
    const expectations = new Expectations(clock, 1000)
    expect(expectations.isFulfilled('k')).toBe(true)
    expectations.expect('k', 1, ['a', 'b'])
    expectations.creationObserved('k')
    expectations.deletionObserved('k', 'a')
    expectations.deletionObserved('k', 'a')
    expect(expectations.isFulfilled('k')).toBe(false)
    expectations.deletionObserved('k', 'b')
    expect(expectations.isFulfilled('k')).toBe(true)
    expectations.expectCreations('k', 1)
    await clock.advance(1001)
    expect(expectations.isFulfilled('k')).toBe(true)
  })
})

describe('slowStart()', () => {
  it('doubles its batches and stops after one that fails', async () => {
    const calls: number[] = []
    const result = await slowStart(100, async (i) => {
      calls.push(i)
      if (i === 4) throw new Error('full')
    })
    expect(calls).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(result).toMatchObject({ attempted: 7, succeeded: 6, error: new Error('full') })
  })
})

describe('planClaims()', () => {
  const controlled = (uid: string) => [{ apiVersion: 'v1', kind: 'X', name: 'x', uid, controller: true }]
  const object = (name: string, app: string, uid?: string): KubernetesObject => ({
    metadata: { name, labels: { app }, ...(uid === undefined ? {} : { ownerReferences: controlled(uid) }) },
  })
  const objects = [
    object('mine', 'a', 'me'),
    object('strayed', 'b', 'me'),
    object('orphan', 'a'),
    object('other', 'a', 'you'),
    object('alien', 'b'),
  ]
  const selector = [{ key: 'app', operator: 'in', values: ['a'] }] as const
  const names = (list: readonly KubernetesObject[]): readonly string[] => list.map(({ metadata }) => metadata.name)

  it('keeps what is selected, adopts orphans and releases what strayed', () => {
    const plan = planClaims({ metadata: { name: 'o', uid: 'me' } }, selector, objects)
    expect([names(plan.owned), names(plan.adopt), names(plan.release)]).toEqual([['mine'], ['orphan'], ['strayed']])
  })

  it('changes no owners for one that is being deleted', () => {
    const plan = planClaims({ metadata: { name: 'o', uid: 'me', deletionTimestamp: '2026-01-01T00:00:00Z' } }, selector, objects)
    expect([names(plan.owned), names(plan.adopt), names(plan.release)]).toEqual([['mine'], [], []])
  })
})
