import { expect, it } from 'vitest'
import { parseDsn } from './dsn.ts'

it.each([
  ['memory:', { driver: 'memory' }],
  ['memory://', { driver: 'memory' }],
  ['sqlite:///var/lib/x.db', { driver: 'sqlite', path: '/var/lib/x.db' }],
  ['sqlite://./db/state.db?_journal_mode=WAL&cache=shared', { driver: 'sqlite', path: './db/state.db' }],
  ['sqlite:x.db', { driver: 'sqlite', path: 'x.db' }],
  ['SQLite:///x.db', { driver: 'sqlite', path: '/x.db' }],
  ['https://a:2379,https://b:2379', { driver: 'etcd', endpoints: ['a:2379', 'b:2379'], tls: true }],
  ['https://a:2379,b', { driver: 'etcd', endpoints: ['a:2379', 'b:2379'], tls: true }],
  ['http://[::1]:2380/', { driver: 'etcd', endpoints: ['[::1]:2380'], tls: false }],
  ['unix:///run/kine.sock', { driver: 'etcd', endpoints: ['unix:/run/kine.sock'], tls: false }],
])('parseDsn() reads %s', (dsn, expected) => {
  expect(parseDsn(dsn)).toEqual(expected)
})

const server = { parameters: {}, database: 'kubernetes' }

it.each([
  ['postgres://', { ...server, address: { host: 'localhost', port: 5432 }, user: 'postgres', password: 'postgres' }],
  ['postgresql://u:p%40ss@h:1/db', { ...server, address: { host: 'h', port: 1 }, user: 'u', password: 'p@ss', database: 'db' }],
  ['postgres://u:p@ss/w@[::1]/db', { ...server, address: { host: '::1', port: 5432 }, user: 'u', password: 'p@ss/w', database: 'db' }],
  [
    'postgres://u@h/db?sslmode=require',
    { address: { host: 'h', port: 5432 }, user: 'u', password: undefined, database: 'db', parameters: { sslmode: 'require' } },
  ],
  [
    'postgres:///db?host=/run/pg',
    {
      address: { socketPath: '/run/pg' },
      user: 'postgres',
      password: 'postgres',
      database: 'db',
      parameters: { host: '/run/pg' },
    },
  ],
])('parseDsn() reads %s of PostgreSQL', (dsn, expected) => {
  expect(parseDsn(dsn)).toEqual({ driver: 'postgres', ...expected })
})

it.each([
  ['mysql://', { ...server, address: { socketPath: '/var/run/mysqld/mysqld.sock' }, user: 'root', password: undefined }],
  ['mysql://u:p@tcp(h:3307)/db', { ...server, address: { host: 'h', port: 3307 }, user: 'u', password: 'p', database: 'db' }],
  ['mysql://u:p%w@tcp([::1])/', { ...server, address: { host: '::1', port: 3306 }, user: 'u', password: 'p%w' }],
  [
    'mysql://root@unix(/run/my.sock)/db',
    { ...server, address: { socketPath: '/run/my.sock' }, user: 'root', password: undefined, database: 'db' },
  ],
  ['mysql://root@unix(/run/my.sock)', { ...server, address: { socketPath: '/run/my.sock' }, user: 'root', password: undefined }],
  ['mysql://u:p@h/db', { ...server, address: { host: 'h', port: 3306 }, user: 'u', password: 'p', database: 'db' }],
])('parseDsn() reads %s of MySQL', (dsn, expected) => {
  expect(parseDsn(dsn)).toEqual({ driver: 'mysql', ...expected })
})

it.each([
  '',
  'state.db',
  'mongodb://h',
  'nats://h',
  'sqlite://',
  'sqlite://:memory:',
  'sqlite://?x=1',
  'postgres:h',
  'postgres://u:secret@h:99999/db',
  'postgres://u:secret%zz@h/db',
  'mysql://u:secret@udp(h:1)/db',
  'https://a:2379,http://b:2379',
  'https://',
  'https://a:x',
  'unix://',
])('parseDsn() refuses "%s", without its password', (dsn) => {
  expect(() => parseDsn(dsn)).toThrow(expect.objectContaining({ code: 'InvalidDsn' }))
  expect(() => parseDsn(dsn)).not.toThrow(/secret/)
})
