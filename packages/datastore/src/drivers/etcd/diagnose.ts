import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { TlsFiles } from './tls-files.ts'

/** Why an endpoint cannot be used. */
export interface Diagnosis {
  /** Continues a sentence that begins with the endpoint. */
  readonly reason: string
  /** That trying again will not help: one of the two does not trust the other. */
  readonly isTrust: boolean
  readonly cause: Error | undefined
}

/** How long an endpoint may take to accept, and then to refuse a certificate: with TLS 1.3 a server does so after the handshake. */
const connectTimeoutMs = 3000
const refusalTimeoutMs = 500

const needsCertificate = 'asks for a client certificate that its CA has signed'

const http2Preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0'

/** Connects to an endpoint by hand, to tell what gRPC does not: which of the two refuses the other, and why. */
export async function diagnose(address: string, tls: TlsFiles | undefined): Promise<Diagnosis> {
  return new Promise((resolve) => {
    const target = toTarget(address)
    const socket: Socket =
      tls === undefined
        ? connectTcp(target)
        : connectTls({
            ...target,
            ...tls,
            ALPNProtocols: ['h2'],
            ...('host' in target && isIP(target.host) === 0 ? { servername: target.host } : {}),
          })
    const finish = (diagnosis: Diagnosis): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(diagnosis)
    }
    let isSecured = tls === undefined
    let timer = setTimeout(() => finish(of('does not accept connections')), connectTimeoutMs)
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer)
      isSecured = true
      timer = setTimeout(() => finish(of('accepts connections but does not answer')), refusalTimeoutMs)
      socket.write(http2Preface, 'latin1')
    })
    socket.on('data', (data: Buffer) => {
      // An HTTP/1 answer or a TLS alert in place of HTTP/2.
      if (data[0] === 0x15 || data.toString('latin1', 0, 5) === 'HTTP/')
        finish(of(tls === undefined ? 'asks for TLS, or is no etcd: try "https://"' : 'speaks no HTTP/2: it is no etcd'))
    })
    const noHandshake = 'ends the connection at the TLS handshake: perhaps it does not speak TLS ("http://")'
    const noAnswer = tls === undefined ? 'ends the connection: perhaps it asks for TLS ("https://")' : 'ends the connection'
    socket.once('end', () => finish(of(isSecured ? noAnswer : noHandshake)))
    socket.once('error', (error) => finish(!isSecured && isReset(error) ? of(noHandshake, error) : explain(error, tls?.cert !== undefined)))
  })
}

function of(reason: string, cause?: Error): Diagnosis {
  return { reason, isTrust: false, cause }
}

function toTarget(address: string): { readonly path: string } | { readonly host: string; readonly port: number } {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) }
  const [, host = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? []
  return { host, port: Number(port) }
}

function isReset(error: Error): boolean {
  return 'code' in error && error.code === 'ECONNRESET'
}

function explain(error: Error, hasCertificate: boolean): Diagnosis {
  const code = 'code' in error ? String(error.code) : ''
  const trust = (reason: string): Diagnosis => ({ reason, isTrust: true, cause: error })
  if (/ALERT_(CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE)/.test(code)) return trust(needsCertificate)
  if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|DECRYPT_ERROR)/.test(code))
    return trust(hasCertificate ? 'does not accept the client certificate' : needsCertificate)
  if (/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_SIGNED|CERT_SIGNATURE|CERT_UNTRUSTED|INVALID_CA)/.test(code))
    return trust('has a certificate that the given CA has not signed')
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return trust('has a certificate for another name')
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') return trust('has a certificate that is not valid at this time')
  switch (code) {
    case 'ECONNREFUSED':
      return of('refuses connections', error)
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return of('has a name that cannot be resolved', error)
    case 'ENOENT':
      return of('does not exist', error)
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
      return of('cannot be reached', error)
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return of('does not speak TLS: try "http://"', error)
    default:
      return of(`fails: ${error.message}`, error)
  }
}
