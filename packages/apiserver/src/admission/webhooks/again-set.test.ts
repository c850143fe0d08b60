import { describe, expect, it } from 'vitest'
import { AgainSet } from './again-set.ts'

describe('AgainSet', () => {
  it('asks again those that were asked before a change', () => {
    const again = new AgainSet()
    again.add('first')
    again.changed()
    again.add('last')
    expect([again.includes('first'), again.includes('last')]).toEqual([true, false])
  })

  it('notices what others change between the rounds', async () => {
    const again = new AgainSet()
    const object = { metadata: { name: 'a' } }
    again.add('first')
    await again.remember(object)
    await again.compare({ metadata: { name: 'a' } })
    expect(again.includes('first')).toBe(false)
    object.metadata.name = 'b'
    await again.compare(object)
    expect(again.includes('first')).toBe(true)
  })
})
