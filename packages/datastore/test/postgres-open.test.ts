/** What PostgreSQL databases are opened, made and refused. */
import { spawnSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { openDatastore, readStatus } from '@k3s/datastore'
import type { OpenDatastoreOptions } from '@k3s/datastore'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres } from './servers/postgres.ts'
import type { PostgresServer } from './servers/postgres.ts'
import { startProxy } from './servers/tcp-proxy.ts'

let server: PostgresServer
let files: { readonly caFile: string; readonly otherCaFile: string; readonly certFile: string; readonly keyFile: string }

/** A certificate authority, with certificates for the server (127.0.0.1 only) and for a client; and another authority. */
function makeCertificates(directory: string): readonly string[] {
  const path = (name: string): string => join(directory, name)
  const request = (name: string, ...args: string[]): void => {
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-keyout', path(`${name}.key`)]
    const { status, stderr } = spawnSync('openssl', ['req', '-x509', ...key, '-out', path(`${name}.crt`), ...args], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`openssl: ${stderr}`)
    chmodSync(path(`${name}.key`), 0o600)
  }
  request('ca', '-subj', '/CN=test authority')
  request('other', '-subj', '/CN=other authority')
  const signed = ['-CA', path('ca.crt'), '-CAkey', path('ca.key'), '-addext', 'basicConstraints=critical,CA:FALSE']
  request('server', ...signed, '-subj', '/CN=server', '-addext', 'subjectAltName=IP:127.0.0.1')
  request('client', ...signed, '-subj', '/CN=postgres')
  files = { caFile: path('ca.crt'), otherCaFile: path('other.crt'), certFile: path('client.crt'), keyFile: path('client.key') }
  return ['ssl=on', `ssl_cert_file=${path('server.crt')}`, `ssl_key_file=${path('server.key')}`, `ssl_ca_file=${path('ca.crt')}`]
}

beforeAll(async () => {
  server = await startPostgres({ prepare: makeCertificates })
}, 60_000)
afterAll(async () => {
  await server[Symbol.asyncDispose]()
})

/** What opening is refused with. */
async function refusal(dsn: string, options?: OpenDatastoreOptions): Promise<{ readonly code: unknown; readonly text: string }> {
  const begin = performance.now()
  try {
    await using store = await openDatastore(dsn, options)
    return { code: 'opened', text: store.constructor.name }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    expect(performance.now() - begin).toBeLessThan(10_000)
    const hint = 'hint' in error ? String(error.hint) : ''
    return { code: 'code' in error ? error.code : error.name, text: `${error.message} ${hint}` }
  }
}

async function isEncrypted(dsn: string, options?: OpenDatastoreOptions): Promise<boolean> {
  await using store = await openDatastore(dsn, options)
  await store.currentRevision()
  const [encrypted, plain] = server
    .query(
      'postgres',
      "select count(*) filter (where ssl), count(*) filter (where not ssl) from pg_stat_activity join pg_stat_ssl using (pid) where application_name = 'k3s'",
    )
    .split('|')
    .map(Number)
  expect(Math.min(encrypted ?? 0, plain ?? 0)).toBe(0)
  return (encrypted ?? 0) > 0
}

describe('opening a PostgreSQL datastore', () => {
  it('makes the database, whatever its name, and opens it again', async () => {
    const dsn = server.dsn('strange%20"name%2F')
    {
      await using store = await openDatastore(dsn)
      await store.create(Buffer.from('a'), Buffer.from('1'))
    }
    await using store = await openDatastore(dsn)
    expect((await store.get(Buffer.from('a'))).item?.version).toBe(1)
    expect(await store.status()).toMatchObject({ driver: 'postgres', revision: 2 })
  })

  it('refuses a wrong password and an unknown user with Unauthenticated, and never says the password', async () => {
    for (const credentials of ['postgres:wr0ng', 'nobody:wr0ng', 'postgres'])
      expect(await refusal(`postgres://${credentials}@127.0.0.1:${server.port}/refused`)).toMatchObject({
        code: 'Unauthenticated',
        text: expect.not.stringContaining('wr0ng') as string,
      })
  })

  it('tells which server cannot be reached', async () => {
    const proxy = await startProxy(server.port)
    await proxy[Symbol.asyncDispose]()
    const refused = await refusal(`postgres://u:s3cret@127.0.0.1:${proxy.port}/x`)
    expect(refused).toMatchObject({ code: 'Unavailable', text: expect.stringContaining(`127.0.0.1:${proxy.port}`) as string })
    expect(refused.text).not.toContain('s3cret')
    expect(await refusal('postgres://u:p@host.invalid:1234/x')).toMatchObject({
      code: 'Unavailable',
      text: expect.stringContaining('host.invalid:1234') as string,
    })
  })

  it('leaves the tables of another program as they are, and says whose they are', async () => {
    server.query('postgres', 'create database kine')
    server.query('kine', 'create table kine (id int); insert into kine values (7)')
    expect(await refusal(server.dsn('kine'))).toMatchObject({
      code: 'ForeignSchema',
      text: expect.stringContaining('original K3s') as string,
    })
    server.query('postgres', 'create database app')
    server.query('app', 'create table users (id int)')
    expect(await refusal(server.dsn('app'))).toMatchObject({ code: 'ForeignSchema', text: expect.stringContaining('"users"') as string })
    expect(server.query('kine', 'select id from kine')).toBe('7')
    expect(server.query('app', "select count(*) from pg_tables where schemaname = 'public'")).toBe('1')
  })

  it('makes nothing where a datastore is only to be read', async () => {
    await expect(readStatus(server.dsn('absent'))).rejects.toMatchObject({
      code: 'InvalidDsn',
      message: expect.stringContaining('does not exist') as string,
    })
    expect(server.query('postgres', "select count(*) from pg_database where datname = 'absent'")).toBe('0')
    server.query('postgres', 'create database absent')
    await expect(readStatus(server.dsn('absent'))).rejects.toMatchObject({
      code: 'InvalidDsn',
      message: expect.stringContaining('holds none') as string,
    })
    await (await openDatastore(server.dsn('absent')))[Symbol.asyncDispose]()
    expect(await readStatus(server.dsn('absent'))).toMatchObject({ revision: 1 })
  })

  it('refuses a newer schema, and finishes one whose making was cut off', async () => {
    await (await openDatastore(server.dsn('newer')))[Symbol.asyncDispose]()
    server.query('newer', 'update k3s_datastore set version = 99')
    expect(await refusal(server.dsn('newer'))).toMatchObject({ code: 'NewerSchema', text: expect.stringContaining('99') as string })
    server.query('postgres', 'create database half')
    server.query(
      'half',
      'create table k3s_datastore (version bigint primary key); create table log (id bigint); insert into k3s_datastore values (0)',
    )
    expect(await refusal(server.dsn('half'))).toMatchObject({ code: 'opened' })
  })

  it('gives up when its signal aborts', async () => {
    const reason = new Error('given up')
    await expect(openDatastore(server.dsn('aborted'), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    // Another has the lock under which the schema is made.
    await using other = await openDatastore(server.dsn('aborted'))
    await other.currentRevision()
    const stop = new AbortController()
    const opening = openDatastore(server.dsn('aborted'), { signal: stop.signal })
    stop.abort(reason)
    await expect(opening).rejects.toBe(reason)
  })

  it('waits for a server that is starting, not for one that is away', async () => {
    const dsn = server.dsn('starting')
    await server.kill()
    const starting = server.start()
    // After a crash the server says for a moment that it is starting; before that it does not listen.
    const results = new Set<unknown>()
    for (const deadline = performance.now() + 20_000; performance.now() < deadline && !results.has('opened');)
      results.add((await refusal(dsn)).code)
    await starting
    expect([...results].filter((code) => code !== 'Unavailable')).toEqual(['opened'])
  })

  it('says that no space is left, and goes on when there is', async () => {
    await using store = await openDatastore(server.dsn('full'))
    await store.create(Buffer.from('a'), Buffer.from('1'))
    // The server's own error for a full disk, of which there is none here.
    server.query(
      'full',
      `create function refuse() returns trigger language plpgsql as $$ begin raise 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
       create trigger full_disk before insert on log for each statement execute function refuse()`,
    )
    await expect(store.create(Buffer.from('b'), Buffer.from('1'))).rejects.toMatchObject({ code: 'NoSpace' })
    expect((await store.get(Buffer.from('a'))).item?.version).toBe(1)
    server.query('full', 'drop trigger full_disk on log')
    expect((await store.create(Buffer.from('b'), Buffer.from('1'))).revision).toBe(3)
  })
})

describe('TLS to PostgreSQL', () => {
  const dsn = (mode: string): string => `${server.dsn('tls')}?sslmode=${mode}`

  it('is used when the server has it, unless it is turned off', async () => {
    expect(await isEncrypted(server.dsn('tls'))).toBe(true)
    expect(await isEncrypted(dsn('require'))).toBe(true)
    expect(await isEncrypted(dsn('disable'))).toBe(false)
    expect(await refusal(dsn('sometimes'))).toMatchObject({ code: 'InvalidDsn' })
  })

  it('trusts those who sign only, for any name with verify-ca, for its own with verify-full', async () => {
    const { caFile, otherCaFile, certFile, keyFile } = files
    const byName = (mode: string): string => dsn(mode).replace('127.0.0.1', 'localhost')
    expect(await isEncrypted(dsn('verify-full'), { server: { caFile } })).toBe(true)
    expect(await isEncrypted(byName('verify-ca'), { server: { caFile } })).toBe(true)
    expect(await isEncrypted(`${dsn('verify-ca')}&sslrootcert=${caFile}`)).toBe(true)
    expect(await isEncrypted(server.dsn('tls'), { server: { caFile, certFile, keyFile } })).toBe(true)
    const hidden = { code: 'Unavailable', text: expect.stringMatching(/certificate|altnames/i) as string }
    expect(await refusal(byName('verify-full'), { server: { caFile } })).toMatchObject(hidden)
    expect(await refusal(dsn('verify-ca'), { server: { caFile: otherCaFile } })).toMatchObject(hidden)
    // A file alone asks for all checks.
    expect(await refusal(server.dsn('tls'), { server: { caFile: otherCaFile } })).toMatchObject(hidden)
    expect(await refusal(server.dsn('tls').replace('127.0.0.1', 'localhost'), { server: { caFile } })).toMatchObject(hidden)
    expect(await refusal(dsn('verify-ca'), { server: { caFile: '/nowhere.crt' } })).toMatchObject({ code: 'InvalidArgument' })
  })
})
