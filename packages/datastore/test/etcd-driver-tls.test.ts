import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatastore } from '@k3s/datastore'
import type { DatabaseServerOptions, Datastore } from '@k3s/datastore'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { makeCertificates, startEtcd } from './servers/etcd.ts'
import { freePort } from './servers/free-port.ts'
import type { EtcdCertificates, EtcdServer } from './servers/etcd.ts'

const directory = mkdtempSync(join(tmpdir(), 'etcd-tls-'))
let etcd: EtcdServer
let own: EtcdCertificates
let other: EtcdCertificates
beforeAll(async () => {
  own = makeCertificates(directory, 'own')
  other = makeCertificates(directory, 'other')
  etcd = await startEtcd({ program: process.env['ETCD_PROGRAM'], certificates: own })
})
afterAll(async () => {
  await etcd[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const open = (server: DatabaseServerOptions, dsn = etcd.dsn): Promise<Datastore> => openDatastore(dsn, { server })

it('a client certificate of the right CA is let in', async () => {
  await using store = await open({ caFile: own.caFile, certFile: own.clientCertFile, keyFile: own.clientKeyFile })
  const { revision } = await store.create(Buffer.from('a'), Buffer.from('1'))
  expect((await store.get(Buffer.from('a'))).item?.modRevision).toBe(revision)
})

it('no client certificate, or one of another CA, is told as Unauthenticated', async () => {
  await expect(open({ caFile: own.caFile })).rejects.toMatchObject({
    code: 'Unauthenticated',
    message: expect.stringMatching(/^Cannot connect to etcd: 127\.0\.0\.1:\d+ asks for a client certificate/),
  })
  await expect(open({ caFile: own.caFile, certFile: other.clientCertFile, keyFile: other.clientKeyFile })).rejects.toMatchObject({
    code: 'Unauthenticated',
    message: expect.stringContaining('does not accept the client certificate'),
  })
})

it('a server that another CA has signed is not trusted, nor one without a given CA', async () => {
  for (const server of [{ caFile: other.caFile, certFile: own.clientCertFile, keyFile: own.clientKeyFile }, {}])
    await expect(open(server)).rejects.toMatchObject({
      code: 'Unauthenticated',
      message: expect.stringContaining('has a certificate that the given CA has not signed'),
      cause: expect.any(Error),
    })
})

it('plain HTTP to a server with TLS, and the other way round, is told', async () => {
  await expect(open({}, etcd.dsn.replace('https', 'http'))).rejects.toMatchObject({
    code: 'Unavailable',
    message: expect.stringContaining('"https://"'),
  })
  await using plain = await startEtcd({ program: process.env['ETCD_PROGRAM'] })
  await expect(open({ caFile: own.caFile }, plain.dsn.replace('http', 'https'))).rejects.toMatchObject({
    code: 'Unavailable',
    message: expect.stringContaining('"http://"'),
  })
})

it('endpoints that cannot be reached are named', async () => {
  const [one, two] = [await freePort(), await freePort()]
  await expect(open({}, `http://127.0.0.1:${one},127.0.0.1:${two}`)).rejects.toMatchObject({
    code: 'Unavailable',
    message: `Cannot connect to etcd: 127.0.0.1:${one} refuses connections; 127.0.0.1:${two} refuses connections`,
  })
})

it('files that are missing or hold something else are told as InvalidArgument', async () => {
  await expect(open({ caFile: join(directory, 'none') })).rejects.toMatchObject({
    code: 'InvalidArgument',
    message: expect.stringContaining(`"${join(directory, 'none')}"`),
  })
  const empty = join(directory, 'empty')
  writeFileSync(empty, 'nothing')
  await expect(open({ caFile: empty })).rejects.toMatchObject({ code: 'InvalidArgument' })
  await expect(open({ caFile: own.caFile, certFile: own.clientCertFile, keyFile: other.clientKeyFile })).rejects.toMatchObject({
    code: 'InvalidArgument',
  })
  await expect(open({ caFile: own.caFile, certFile: own.clientCertFile })).rejects.toMatchObject({ code: 'InvalidArgument' })
})
