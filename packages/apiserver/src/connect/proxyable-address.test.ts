import { describe, expect, it } from 'vitest'
import { checkProxyable } from './proxyable-address.ts'

describe('checkProxyable()', () => {
  it.each(['10.42.0.5', '192.0.2.1', '203.0.113.9', 'fd00::5', '2001:db8::1'])('lets %s be reached', (address) => {
    expect(() => checkProxyable(address)).not.toThrow()
  })

  it.each([
    '127.0.0.1',
    '127.9.9.9',
    '::1',
    '0.0.0.0',
    '::',
    '169.254.169.254',
    'fe80::1',
    '224.0.0.1',
    'ff02::1',
    '::ffff:127.0.0.1',
    '::ffff:169.254.169.254',
    '',
    'localhost',
    '127.1',
  ])('refuses %j', (address) => {
    expect(() => checkProxyable(address)).toThrow('address not allowed')
  })
})
