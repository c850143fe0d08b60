import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createCa, createCertificateRequest, generateKey, grantCertificateRequest, isSelfSigned, readCertificateRequest } from './index.ts'

const pemOf = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`

const hour = 3_600_000

describe('readCertificateRequest()', () => {
  it('tells the names that are asked for', async () => {
    const der = await createCertificateRequest(await generateKey(), {
      commonName: 'system:node:a',
      organizations: ['system:nodes'],
      sans: ['a.example', '10.0.0.1', 'fd00::1'],
    })
    const expected = {
      commonName: 'system:node:a',
      organizations: ['system:nodes'],
      dnsNames: ['a.example'],
      ipAddresses: ['10.0.0.1', 'fd00::1'],
      emailAddresses: [],
      uris: [],
    }
    expect(readCertificateRequest(pemOf(der))).toEqual(expected)
    expect(readCertificateRequest(der)).toEqual(expected)
  })

  it.each(['', 'no request', '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n'])('refuses %j', (text) => {
    expect(() => readCertificateRequest(text)).toThrow()
  })
})

describe('grantCertificateRequest()', () => {
  it('signs the names with the usages and the times that are given', async () => {
    const ca = await createCa('ca')
    const der = await createCertificateRequest(await generateKey(), {
      commonName: 'ada, "x"',
      organizations: ['a+b', 'c=d', '#0403'],
      sans: ['x.example'],
    })
    const notBefore = new Date(Math.floor(Date.now() / 1000) * 1000 - hour)
    const notAfter = new Date(notBefore.getTime() + 2 * hour)
    const pem = await grantCertificateRequest(ca, pemOf(der), {
      usages: ['digital signature', 'client auth', 's/mime'],
      notBefore,
      notAfter,
    })
    const certificate = new X509Certificate(pem)
    expect(certificate.verify(new X509Certificate(ca.cert).publicKey)).toBe(true)
    expect([certificate.validFromDate, certificate.validToDate]).toEqual([notBefore, notAfter])
    expect(certificate.ca).toBe(false)
    expect(certificate.subjectAltName).toBe('DNS:x.example')
    expect(certificate.subject.split('\n').map((line) => line.replace(/\\(.)/g, '$1'))).toEqual([
      'O=a+b',
      'O=c=d',
      'O=#0403',
      'CN=ada, "x"',
    ])
    expect((certificate as { keyUsage?: string[] }).keyUsage).toEqual(['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.4']) // node's name for extended usages
    expect(pem.match(/BEGIN CERTIFICATE/g)).toHaveLength(1)
  })

  it('does not make another name of one in quotes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'k3s-request-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'r.csr')
    const names = '/O="system:masters"/O=%x/CN="a"'
    const asked = ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', join(folder, 'k.pem'), '-out', file, '-subj', names]
    execFileSync('openssl', asked, { stdio: 'ignore' })
    const text = readFileSync(file, 'utf8')
    expect(readCertificateRequest(text)).toMatchObject({ commonName: '"a"', organizations: ['"system:masters"', '%x'] })
    const pem = await grantCertificateRequest(await createCa('ca'), text, { usages: [], notBefore: new Date(), notAfter: new Date() })
    expect(new X509Certificate(pem).subject.replace(/\\(.)/g, '$1')).toBe('O="system:masters"\nO=%x\nCN="a"')
  })

  it('never outlives the CA, and refuses what it does not know', async () => {
    const ca = await createCa('ca')
    const der = await createCertificateRequest(await generateKey(), { commonName: 'a' })
    const end = new Date(Date.now() + 100 * 365 * 24 * hour)
    const pem = await grantCertificateRequest(ca, der, { usages: ['client auth'], notBefore: new Date(), notAfter: end })
    expect(new X509Certificate(pem).validTo).toBe(new X509Certificate(ca.cert).validTo)
    const odd = grantCertificateRequest(ca, der, { usages: ['client auth', 'world peace'], notBefore: new Date(), notAfter: end })
    await expect(odd).rejects.toThrow('unrecognized usage values: "world peace"')
    const late = grantCertificateRequest(ca, der, { usages: [], notBefore: end, notAfter: end })
    await expect(late).rejects.toThrow('the signer has expired')
  })

  it('refuses a request that another key signed', async () => {
    const ca = await createCa('ca')
    const der = Buffer.from(await createCertificateRequest(await generateKey(), { commonName: 'a' }))
    der[der.indexOf('a', der.indexOf(Buffer.from([0x55, 0x04, 0x03])))] = 'b'.codePointAt(0) ?? 0
    expect(readCertificateRequest(der).commonName).toBe('b')
    expect(isSelfSigned(der)).toBe(false)
    await expect(grantCertificateRequest(ca, der, { usages: [], notBefore: new Date(), notAfter: new Date() })).rejects.toThrow('signature')
  })

  it.each([['rsa:2048'], ['ed25519']])('takes keys of kind %s, as openssl makes them', async (kind) => {
    const folder = mkdtempSync(join(tmpdir(), 'k3s-request-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'r.csr')
    const asked = ['req', '-new', '-newkey', kind, '-nodes', '-keyout', join(folder, 'k.pem'), '-out', file, '-subj', '/O=dev/CN=ada']
    execFileSync('openssl', asked, { stdio: 'ignore' })
    const ca = await createCa('ca')
    const notAfter = new Date(Date.now() + hour)
    const pem = await grantCertificateRequest(ca, readFileSync(file, 'utf8'), { usages: ['client auth'], notBefore: new Date(), notAfter })
    writeFileSync(join(folder, 'c.pem'), pem)
    writeFileSync(join(folder, 'ca.pem'), ca.cert)
    const verified = execFileSync('openssl', ['verify', '-purpose', 'sslclient', '-CAfile', join(folder, 'ca.pem'), join(folder, 'c.pem')])
    expect(verified.toString()).toContain('OK')
  })
})
