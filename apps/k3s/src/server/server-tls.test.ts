import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isSignedBy, readCertificate } from '@k3s/pki'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureServerTls, type ServerTls } from './server-tls.ts'

const options = { clusterDomain: 'cluster.local', sans: ['10.43.0.1', 'server', '192.0.2.1'] }

describe('ensureServerTls()', () => {
  let folder: string
  let first: ServerTls
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tls-'))
    first = await ensureServerTls(folder, options)
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('makes CAs, leaves of the right CA, and keys that only we can read', () => {
    for (const pair of [first.admin, first.controller, first.scheduler, first.apiserver, first.kubeProxy, first.k3sController])
      expect(isSignedBy(pair, first.clientCa.cert)).toBe(true)
    expect(isSignedBy(first.serving, first.serverCa.cert)).toBe(true)
    expect(readCertificate(first.admin.cert)).toMatchObject({ commonName: 'system:admin', organizations: ['system:masters'] })
    expect(readCertificate(first.serving.cert).sans).toEqual(
      expect.arrayContaining([
        'localhost',
        'kubernetes',
        'kubernetes.default.svc.cluster.local',
        '127.0.0.1',
        '10.43.0.1',
        'server',
        '192.0.2.1',
      ]),
    )
    for (const name of readdirSync(folder)) if (name.endsWith('.key')) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o600)
  })

  it('reads at the next start what it made', async () => {
    expect(await ensureServerTls(folder, options)).toEqual(first)
  })

  it('makes the serving certificate anew for a further name, under the same CA', async () => {
    const second = await ensureServerTls(folder, { ...options, sans: [...options.sans, 'other.example'] })
    expect(readCertificate(second.serving.cert).sans).toContain('other.example')
    expect(second.serverCa).toEqual(first.serverCa)
    expect(second.admin).toEqual(first.admin)
  })

  it('makes anew what a crash left half or what is damaged', async () => {
    const before = await ensureServerTls(folder, options)
    rmSync(join(folder, 'client-admin.crt'))
    writeFileSync(join(folder, 'client-scheduler.crt'), 'no certificate')
    const after = await ensureServerTls(folder, options)
    expect(isSignedBy(after.admin, before.clientCa.cert)).toBe(true)
    expect(isSignedBy(after.scheduler, before.clientCa.cert)).toBe(true)
    expect(after.controller).toEqual(before.controller)
    expect(readFileSync(join(folder, 'client-admin.crt'), 'utf8')).toBe(after.admin.cert)
  })

  it.each(['client-ca.crt', 'server-ca.key', 'request-header-ca.crt', 'service.key'])(
    'refuses a damaged %s and leaves it as it is',
    async (name) => {
      await ensureServerTls(folder, options)
      const file = join(folder, name)
      const before = readFileSync(file, 'utf8')
      writeFileSync(file, 'damaged')
      await expect(ensureServerTls(folder, options)).rejects.toThrow(/^Cannot use ".*restore (it|them) from a backup$/)
      expect(readFileSync(file, 'utf8')).toBe('damaged')
      writeFileSync(file, before)
    },
  )

  it('makes no CA in the place of one whose key is lost', async () => {
    const file = join(folder, 'server-ca.key')
    const before = readFileSync(file, 'utf8')
    rmSync(file)
    await expect(ensureServerTls(folder, options)).rejects.toThrow(
      /^Cannot use ".*server-ca\.crt" and ".*server-ca\.key": they are no certificate/,
    )
    writeFileSync(file, before, { mode: 0o600 })
    expect((await ensureServerTls(folder, options)).serverCa.key).toBe(before)
  })
})
