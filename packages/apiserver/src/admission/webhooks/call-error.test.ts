import { describe, expect, it } from 'vitest'
import { describeFailure, describeStatus } from './call-error.ts'

describe('describeStatus()', () => {
  it.each([
    [500, 'boom', 'an error on the server ("boom") has prevented the request from succeeding'],
    [502, '', 'an error on the server ("unknown") has prevented the request from succeeding'],
    [404, 'x', 'the server could not find the requested resource'],
    [307, '', 'the server responded with the status code 307 but did not return more information'],
    [403, 'no entry', 'no entry'],
    [500, '{"kind":"Status","message":"told"}', 'told'],
  ])('%d %j', (code, body, expected) => {
    expect(describeStatus(code, body)).toBe(expected)
  })
})

describe('describeFailure()', () => {
  it.each([
    [{ code: 'ECONNREFUSED', address: '::1', port: 443 }, 'dial tcp [::1]:443: connect: connection refused'],
    [{ code: 'ENOTFOUND', hostname: 'a.example' }, 'dial tcp: lookup a.example: no such host'],
    [{ code: 'CERT_HAS_EXPIRED' }, 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid'],
    [{ code: 'EOTHER' }, 'plain'],
  ])('%j', (fields, expected) => {
    expect(describeFailure(Object.assign(new Error('plain'), fields))).toBe(expected)
  })
})
