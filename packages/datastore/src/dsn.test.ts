import { expect, it } from 'vitest'
import { parseDsn } from './dsn.ts'

it.each([
  ['memory:', { driver: 'memory' }],
  ['memory://', { driver: 'memory' }],
  ['sqlite:///var/lib/x.db', { driver: 'sqlite', path: '/var/lib/x.db' }],
  ['sqlite://./db/state.db?_journal_mode=WAL&cache=shared', { driver: 'sqlite', path: './db/state.db' }],
  ['sqlite:x.db', { driver: 'sqlite', path: 'x.db' }],
  ['SQLite:///x.db', { driver: 'sqlite', path: '/x.db' }],
])('parseDsn() reads %s', (dsn, expected) => {
  expect(parseDsn(dsn)).toEqual(expected)
})

it.each(['postgres://u:secret@h/db', 'mysql://u:secret@tcp(h:3306)/db', 'https://a:2379,https://b:2379', 'nats://h', 'unix:///x.sock'])(
  'parseDsn() refuses %s as not supported yet, without its password',
  (dsn) => {
    expect(() => parseDsn(dsn)).toThrow(
      expect.objectContaining({ code: 'InvalidDsn', message: expect.stringMatching(/not supported yet$/) }),
    )
    expect(() => parseDsn(dsn)).not.toThrow(/secret/)
  },
)

it.each(['', 'state.db', 'mongodb://h', 'sqlite://', 'sqlite://:memory:', 'sqlite://?x=1', 'postgres:h'])(
  'parseDsn() refuses "%s"',
  (dsn) => {
    expect(() => parseDsn(dsn)).toThrow(expect.objectContaining({ code: 'InvalidDsn' }))
  },
)
