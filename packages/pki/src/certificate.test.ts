import { createServer, connect, type TLSSocket } from 'node:tls'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import {
  createCa,
  createCertificateRequest,
  generateKey,
  isSignedBy,
  issueCertificate,
  needsRenewal,
  readCertificate,
  signCertificateRequest,
} from './certificate.ts'
import { caHash, formatToken, parseToken } from './token.ts'

describe('issueCertificate()', () => {
  it('serves and authenticates over TLS', async () => {
    const ca = await createCa('k3s-server-ca@1')
    const server = await issueCertificate(ca, { commonName: 'k3s', sans: ['localhost', '127.0.0.1', '::1'], usages: ['server'] })
    const client = await issueCertificate(ca, { commonName: 'system:node:a', organizations: ['system:nodes', 'x, y'], usages: ['client'] })
    const listener = createServer({ ...server, ca: ca.cert, requestCert: true, rejectUnauthorized: true }, (socket) => socket.end('hello'))
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const peer = once(listener, 'secureConnection') as Promise<[TLSSocket]>
    const socket = connect({ port: (listener.address() as AddressInfo).port, host: '127.0.0.1', ca: ca.cert, ...client })
    socket.resume()
    await once(socket, 'end')
    const [accepted] = await peer
    expect(accepted.authorized).toBe(true)
    expect(readCertificate(client.cert)).toMatchObject({ commonName: 'system:node:a', organizations: ['system:nodes', 'x, y'] })
    socket.destroy()
    listener.close()
  })

  it('puts names and addresses into the alternative names', async () => {
    const ca = await createCa('ca')
    const { cert } = await issueCertificate(ca, { commonName: 'a', sans: ['a.b', '10.43.0.1', 'fd42::1'], usages: ['server'] })
    expect(readCertificate(cert).sans).toEqual(['a.b', '10.43.0.1', 'FD42:0:0:0:0:0:0:1'])
  })

  it('is recognised as its CA’s, and as due for renewal', async () => {
    const [ca, other] = [await createCa('ca'), await createCa('other')]
    const pair = await issueCertificate(ca, { commonName: 'a', usages: ['client'], days: 100 })
    expect(isSignedBy(pair, ca.cert)).toBe(true)
    expect(isSignedBy(pair, other.cert)).toBe(false)
    expect(isSignedBy({ ...pair, key: await generateKey() }, ca.cert)).toBe(false)
    expect(needsRenewal(pair.cert, 90)).toBe(false)
    expect(needsRenewal(pair.cert, 120)).toBe(true)
  })
})

describe('signCertificateRequest()', () => {
  it('signs the key of the request under the given names', async () => {
    const ca = await createCa('ca')
    const key = await generateKey()
    const request = await createCertificateRequest(key, { commonName: 'proposed' })
    const cert = await signCertificateRequest(ca, request, {
      commonName: 'system:node:b',
      organizations: ['system:nodes'],
      usages: ['client'],
    })
    expect(isSignedBy({ cert, key }, ca.cert)).toBe(true)
    expect(readCertificate(cert).commonName).toBe('system:node:b')
  })
  it('refuses a damaged request with one sentence', async () => {
    const ca = await createCa('ca')
    await expect(signCertificateRequest(ca, new Uint8Array([1, 2, 3]), { commonName: 'a', usages: ['client'] })).rejects.toThrow(
      /^Cannot sign certificate request/,
    )
  })
})

describe('parseToken()', () => {
  const hash = 'a'.repeat(64)
  it.each([
    [`K10${hash}::server:secret`, { caHash: hash, credentials: { type: 'basic', username: 'server', password: 'secret' } }],
    [`K10${hash}::node:a:b\n`, { caHash: hash, credentials: { type: 'basic', username: 'node', password: 'a:b' } }],
    ['secret', { credentials: { type: 'basic', username: 'node', password: 'secret' } }],
    ['abcdef.0123456789abcdef', { credentials: { type: 'bootstrap', id: 'abcdef', secret: '0123456789abcdef' } }],
    [`K10${hash}::abcdef.0123456789abcdef`, { caHash: hash, credentials: { type: 'bootstrap', id: 'abcdef', secret: '0123456789abcdef' } }],
  ])('reads %s', (text, expected) => {
    expect(parseToken(text, 'node')).toEqual(expected)
  })
  it.each(['', '  ', 'K10abc::server:x', `K10${hash}::server`, `K10${hash}::server:`])('refuses %j', (text) => {
    expect(() => parseToken(text, 'node')).toThrow(/^Cannot use token/)
  })
  it('round-trips formatToken()', async () => {
    const { cert } = await createCa('ca')
    expect(parseToken(formatToken(cert, 'server', 'pw'), 'node').caHash).toBe(caHash(cert))
  })
})
