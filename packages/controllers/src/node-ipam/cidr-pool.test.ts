import { describe, expect, it } from 'vitest'
import { CidrPool } from './cidr-pool.ts'

describe('CidrPool', () => {
  it('gives subranges in order and skips those that are used', () => {
    const pool = new CidrPool('10.42.0.0/22', 24)
    pool.occupy('10.42.1.0/24')
    const given = []
    for (let cidr = pool.next(); cidr !== undefined; cidr = pool.next()) {
      pool.occupy(cidr)
      given.push(cidr)
    }
    expect(given).toEqual(['10.42.0.0/24', '10.42.2.0/24', '10.42.3.0/24'])
    pool.release('10.42.2.0/24')
    expect(pool.next()).toBe('10.42.2.0/24')
  })

  it('counts a larger or smaller range as every subrange that it touches', () => {
    const pool = new CidrPool('10.42.0.0/22', 24)
    pool.occupy('10.42.0.0/23')
    pool.occupy('10.42.2.128/25')
    expect(pool.next()).toBe('10.42.3.0/24')
  })

  it('divides IPv6 ranges', () => {
    expect(new CidrPool('fd00:42::/56', 64).next()).toBe('fd00:42::/64')
  })

  it('refuses what it cannot divide', () => {
    expect(() => new CidrPool('10.0.0.0/25', 24)).toThrow('Cannot divide')
    expect(() => new CidrPool('nonsense', 24)).toThrow('Cannot divide')
  })
})
