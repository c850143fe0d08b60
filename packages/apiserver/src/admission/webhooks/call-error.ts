import { isIP } from 'node:net'
import { isStatusError } from '@k3s/api'
import { isObject } from '../../json.ts'
import type { CallEnd } from './webhook-metrics.ts'

/** A webhook could not be asked, or gave no answer that makes sense: what then happens is its failure policy's to say. */
export class CallError extends Error {
  override readonly name = 'CallError'
  constructor(webhook: string, reason: string, options?: ErrorOptions) {
    super(`failed calling webhook ${JSON.stringify(webhook)}: ${reason}`, options)
  }
}

/** How a call ended that threw. */
export function endOf(error: unknown, failurePolicy: string | undefined): CallEnd {
  if (error instanceof CallError) return { kind: 'failed', isIgnored: failurePolicy === 'Ignore' }
  return isStatusError(error) && error.reason !== 'InternalError' ? { kind: 'refused', code: error.code } : { kind: 'broken' }
}

const texts: Readonly<Record<number, string>> = {
  400: 'the server rejected our request for an unknown reason',
  401: 'the server has asked for the client to provide credentials',
  403: 'forbidden',
  404: 'the server could not find the requested resource',
  405: 'the server does not allow this method on the requested resource',
  406: 'the server was unable to respond with a content type that the client supports',
  409: 'the server reported a conflict',
  410: 'the server has removed the requested resource',
  415: 'the server was unable to process the request media type',
  422: 'the server rejected our request due to an error in our request',
  429: 'the server has received too many requests and has asked us to try again later',
  503: 'the server is currently unable to handle the request',
  504: 'the server was unable to return a response in the time allotted, but may still be processing the request',
}
const longestShown = 2048
const firstServerError = 500

/** What client-go says about an answer that is no success; `text` is the body. */
export function describeStatus(code: number, text: string): string {
  try {
    const status: unknown = JSON.parse(text)
    if (isObject(status) && status['kind'] === 'Status' && typeof status['message'] === 'string') return status['message']
  } catch {
    // It is no Status: the code says enough.
  }
  const shown = text.trim().slice(0, longestShown)
  const known = texts[code]
  if (code === 403 && shown !== '') return shown
  if (known !== undefined) return known
  if (code < firstServerError) return `the server responded with the status code ${code} but did not return more information`
  return `an error on the server (${JSON.stringify(shown === '' ? 'unknown' : shown)}) has prevented the request from succeeding`
}

const authority = 'tls: failed to verify certificate: x509: certificate signed by unknown authority'
const certificateErrors: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: authority,
  UNABLE_TO_GET_ISSUER_CERT: authority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: authority,
  DEPTH_ZERO_SELF_SIGNED_CERT: authority,
  SELF_SIGNED_CERT_IN_CHAIN: authority,
  CERT_SIGNATURE_FAILURE: authority,
  CERT_HAS_EXPIRED: 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid',
  CERT_NOT_YET_VALID: 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid',
}

/** What Go says when there is no connection. */
export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code, syscall, address, port, hostname } = error as NodeJS.ErrnoException & {
    readonly address?: string
    readonly port?: number
    readonly hostname?: string
  } // fields of system errors, each checked
  if (code === 'ECONNREFUSED' && address !== undefined)
    return `dial tcp ${address.includes(':') ? `[${address}]` : address}:${port ?? 0}: connect: connection refused`
  if (code === 'ENOTFOUND' && hostname !== undefined) return `dial tcp: lookup ${hostname}: no such host`
  if (code === 'ECONNRESET') return syscall === 'read' ? 'read: connection reset by peer' : 'EOF'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return nameMismatch(error)
  return (code === undefined ? undefined : certificateErrors[code]) ?? error.message
}

function nameMismatch(error: Error): string {
  const { host = '', cert } = error as Error & { readonly host?: string; readonly cert?: { readonly subjectaltname?: string } } // node's error has both
  const head = 'tls: failed to verify certificate: x509: '
  const namesOf = (kind: string): string[] =>
    (cert?.subjectaltname ?? '').split(', ').flatMap((name) => (name.startsWith(`${kind}:`) ? [name.slice(kind.length + 1)] : []))
  const isAddress = isIP(host) !== 0
  const names = namesOf(isAddress ? 'IP Address' : 'DNS')
  if (names.length > 0) return `${head}certificate is valid for ${names.join(', ')}, not ${host}`
  return isAddress
    ? `${head}cannot validate certificate for ${host} because it doesn't contain any IP SANs`
    : `${head}certificate is not valid for any names, but wanted to match ${host}`
}
