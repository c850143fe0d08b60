/** What MySQL and MariaDB databases are opened, made and refused. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { openDatastore, prefixRange, readStatus } from '@k3s/datastore'
import type { Datastore, OpenDatastoreOptions } from '@k3s/datastore'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startMariadb } from './servers/mariadb.ts'
import type { MariadbServer } from './servers/mariadb.ts'
import { startProxy } from './servers/tcp-proxy.ts'

const bytes = (text: string): Uint8Array => Buffer.from(text)

let server: MariadbServer
let certificates: { readonly caFile: string; readonly certFile: string; readonly keyFile: string }

/** A certificate authority, and a certificate of it for `names`; also as the server's. */
function makeCertificates(directory: string): typeof certificates {
  const file = (name: string): string => join(directory, name)
  const run = (...args: string[]): void => {
    const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8', cwd: directory })
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`)
  }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  run('req', '-x509', ...newKey, '-subj', '/CN=test authority', '-keyout', file('ca.key'), '-out', file('ca.crt'))
  run('req', '-x509', ...newKey, '-subj', '/CN=other authority', '-keyout', file('other.key'), '-out', file('other.crt'))
  const signed = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-addext', 'basicConstraints=critical,CA:FALSE']
  run(
    'req',
    '-x509',
    ...newKey,
    ...signed,
    '-subj',
    '/CN=server',
    '-addext',
    'subjectAltName=IP:127.0.0.1',
    '-keyout',
    file('server.key'),
    '-out',
    file('server.crt'),
  )
  run('req', '-x509', ...newKey, ...signed, '-subj', '/CN=k3s', '-keyout', file('client.key'), '-out', file('client.crt'))
  return { caFile: file('ca.crt'), certFile: file('client.crt'), keyFile: file('client.key') }
}

beforeAll(async () => {
  server = await startMariadb({
    prepare: (directory) => {
      certificates = makeCertificates(directory)
      return ['ca', 'cert', 'key'].map(
        (name) => `--ssl-${name}=${join(directory, name === 'ca' ? 'ca.crt' : `server.${name === 'key' ? 'key' : 'crt'}`)}`,
      )
    },
  })
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

async function failure(
  dsn: string,
  options?: OpenDatastoreOptions,
): Promise<{ readonly code: string; readonly message: string; readonly hint: string }> {
  const opened = await openDatastore(dsn, options).then(
    (store: Datastore) => store,
    (error: unknown) => error as { code: string; message: string; hint: string }, // looked at by the caller
  )
  if (Symbol.asyncDispose in opened) {
    await opened[Symbol.asyncDispose]()
    throw new Error('It was opened')
  }
  return opened
}

const as = (user: string, database: string, parameters = ''): string =>
  `mysql://${user}@tcp(127.0.0.1:${server.port})/${database}${parameters}`

describe('a database', () => {
  it('is created, with any name, and opened again', async () => {
    const dsn = server.dsn('a-b `c`')
    {
      await using store = await openDatastore(dsn)
      await store.create(bytes('a'), bytes('1'))
    }
    await using store = await openDatastore(dsn)
    expect(await store.status()).toMatchObject({ driver: 'mysql', revision: 2 })
  })

  it('is made once when many open it at the same moment', async () => {
    const stores = await Promise.all(Array.from({ length: 6 }, () => openDatastore(server.dsn('at_once'))))
    await Promise.all(stores.map((store, index) => store.create(bytes(`key ${index}`), bytes('1'))))
    for (const store of stores) {
      const { count, revision } = await store.list(prefixRange(bytes('key')))
      expect([count, revision]).toEqual([6, 7])
      await store[Symbol.asyncDispose]()
    }
  })

  it('that is missing and may not be created is refused with one sentence', async () => {
    const error = await failure(as('limited:secret', 'forbidden'))
    expect(error).toMatchObject({ code: 'Unauthenticated' })
    expect(`${error.message} ${error.hint}`).toContain('forbidden')
    await using store = await openDatastore(as('limited:secret', 'granted_one'))
    expect(await store.currentRevision()).toBe(1)
  })

  it('that is missing and only to be read is refused with InvalidDsn and not created', async () => {
    await expect(readStatus(server.dsn('only_read'))).rejects.toMatchObject({ code: 'InvalidDsn' })
    expect(server.sql("show databases like 'only_read'")).toBe('')
  })

  it('of the original K3s is refused with ForeignSchema and left as it is', async () => {
    server.sql('create database kine_db; use kine_db; create table kine (id int primary key); insert into kine values (1)')
    const error = await failure(server.dsn('kine_db'))
    expect(error).toMatchObject({ code: 'ForeignSchema' })
    expect(error.message).toContain('kine')
    expect(server.sql('use kine_db; show tables')).toBe('kine\n')
  })

  it('of another program is refused with ForeignSchema and left as it is', async () => {
    server.sql('create database shop; create table shop.orders (id int primary key)')
    expect(await failure(server.dsn('shop'))).toMatchObject({ code: 'ForeignSchema' })
    expect(server.sql('use shop; show tables')).toBe('orders\n')
  })

  it('of a newer version is refused with NewerSchema', async () => {
    await (await openDatastore(server.dsn('newer')))[Symbol.asyncDispose]()
    server.sql('update newer.k3s_datastore set version = 99')
    expect(await failure(server.dsn('newer'))).toMatchObject({ code: 'NewerSchema' })
  })

  it('whose making was cut off is made anew', async () => {
    await (await openDatastore(server.dsn('cut_off')))[Symbol.asyncDispose]()
    server.sql('use cut_off; update k3s_datastore set version = 0; drop table live; drop index log_revision on log; delete from state')
    await using store = await openDatastore(server.dsn('cut_off'))
    expect((await store.create(bytes('a'), bytes('1'))).revision).toBe(2)
  })
})

describe('a server', () => {
  it('that refuses the password: Unauthenticated, and the password is not repeated', async () => {
    const error = await failure(as('k3s:wr0ng', 'a'))
    expect(error).toMatchObject({ code: 'Unauthenticated' })
    expect(error.message).toContain(`127.0.0.1:${server.port}`)
    expect(`${error.message} ${error.hint}`).not.toContain('wr0ng')
  })

  it('that is not there: Unavailable, with host and port', async () => {
    const error = await failure('mysql://root@tcp(127.0.0.1:1)/a')
    expect(error).toMatchObject({ code: 'Unavailable' })
    expect(error.message).toContain('127.0.0.1:1')
    expect(await failure('mysql://root@unix(/nonexistent/socket)/a')).toMatchObject({ code: 'Unavailable' })
  })

  it('is reached by its socket', async () => {
    await using store = await openDatastore(`mysql://root@unix(${join(server.directory, 'socket')})/by_socket`)
    expect(await store.currentRevision()).toBe(1)
  })
})

describe('TLS', () => {
  const encryptedDsn = (parameters: string): string => server.dsn('by_tls', parameters)

  it.each([
    ['', true],
    ['?tls=false', true],
    ['?tls=skip-verify', false],
    ['?tls=preferred', false],
  ])('with the parameters "%s" what is said can be read on the way: %s', async (parameters, isReadable) => {
    await using proxy = await startProxy(server.port)
    proxy.failNext('select', 'request lost')
    const dsn = encryptedDsn(parameters).replace(`${server.port}`, `${proxy.port}`)
    if (isReadable) expect(await failure(dsn)).toMatchObject({ code: 'Unavailable' })
    else await (await openDatastore(dsn))[Symbol.asyncDispose]()
    expect(proxy.faults).toBe(isReadable ? 1 : 0)
  })

  it('"preferred" does without where the server has none', async () => {
    await using plain = await startMariadb({ args: ['--skip-ssl'] })
    await using store = await openDatastore(plain.dsn('plain', '?tls=preferred'))
    expect(await store.currentRevision()).toBe(1)
    expect(await failure(plain.dsn('plain', '?tls=skip-verify'))).toMatchObject({ code: 'Unavailable' })
  })

  it('verifies the server by the given authority, its address included', async () => {
    await (await openDatastore(encryptedDsn(''), { server: { caFile: certificates.caFile } }))[Symbol.asyncDispose]()
    const other = { server: { caFile: certificates.caFile.replace('ca.crt', 'other.crt') } }
    expect(await failure(encryptedDsn('?tls=true'), other)).toMatchObject({ code: 'Unavailable' })
    const byName = encryptedDsn('').replace('127.0.0.1', 'localhost')
    expect(await failure(byName, { server: { caFile: certificates.caFile } })).toMatchObject({ code: 'Unavailable' })
  })

  it('gives the server a certificate where it asks for one', async () => {
    server.sql("create user 'certified'@'%' require x509; grant all on *.* to 'certified'@'%'")
    const dsn = as('certified', 'by_certificate')
    expect(await failure(dsn, { server: { caFile: certificates.caFile } })).toMatchObject({ code: 'Unauthenticated' })
    await using store = await openDatastore(dsn, { server: certificates })
    expect(await store.currentRevision()).toBe(1)
  })

  it('refuses an unknown mode with InvalidDsn, and a file that is not there with InvalidArgument', async () => {
    expect(await failure(encryptedDsn('?tls=maybe'))).toMatchObject({ code: 'InvalidDsn' })
    expect(await failure(encryptedDsn(''), { server: { caFile: '/nonexistent' } })).toMatchObject({ code: 'InvalidArgument' })
  })
})

describe('sizes', () => {
  it('a key of the longest length is stored, a longer one refused with TooLarge', async () => {
    await using store = await openDatastore(server.dsn('sizes'))
    const key = Buffer.alloc(3000, 0xff)
    await store.create(key, bytes('1'))
    expect((await store.list({ start: key.subarray(0, 10), end: new Uint8Array() })).items[0]?.key).toEqual(Uint8Array.from(key))
    await expect(store.create(Buffer.alloc(3001), bytes('1'))).rejects.toMatchObject({ code: 'TooLarge' })
  })

  it('values of all sizes come back as they were, by either protocol', async () => {
    await using store = await openDatastore(server.dsn('sizes'))
    const sizes = [0, 1, 255, 16_383, 65_535, 65_536, 300_000, 1_500_000]
    await Promise.all(sizes.map((size) => store.create(bytes(`value ${size}`), Buffer.alloc(size, "\0\xff'\\?", 'latin1'))))
    for (const size of sizes) {
      const { item } = await store.get(bytes(`value ${size}`))
      expect(Buffer.compare(item?.value ?? bytes('none'), Buffer.alloc(size, "\0\xff'\\?", 'latin1'))).toBe(0)
    }
  })

  it('a request that the server takes no packet for is refused alone, those beside it are done', async () => {
    await using small = await startMariadb({ args: ['--max-allowed-packet=1M'] })
    await using store = await openDatastore(small.dsn('small'))
    const results = await Promise.allSettled([
      store.create(bytes('a'), Buffer.alloc(100_000)),
      store.create(bytes('b'), Buffer.alloc(600_000)),
      ...Array.from({ length: 40 }, (_, index) => store.create(bytes(`c${index}`), Buffer.alloc(60_000))),
    ])
    expect(results.filter(({ status }) => status === 'rejected')).toMatchObject([{ reason: { code: 'TooLarge' } }])
    expect(results[1]).toMatchObject({ status: 'rejected' })
    expect((await store.list(prefixRange(bytes('c')))).count).toBe(40)
  })
})
