import type { AuditSink } from './auditor.ts'

/** What the old format tells of an event. */
interface Told {
  readonly auditID: string
  readonly stage: string
  readonly verb: string
  readonly requestURI: string
  readonly requestReceivedTimestamp: string
  readonly userAgent?: string
  readonly sourceIPs?: readonly string[]
  readonly user: User
  readonly impersonatedUser?: User
  readonly objectRef?: { readonly namespace?: string }
  readonly responseStatus?: { readonly code?: number }
}

interface User {
  readonly username?: string
  readonly groups?: readonly string[]
}

/** Writes events to `sink` in upstream's old format: a line of text each, of a few of their fields. */
export function legacyFormat(sink: AuditSink): AuditSink {
  return { name: sink.name, isStrict: sink.isStrict, write: (event) => sink.write(lineOf(JSON.parse(event) as Told)) } // made by AuditedRequest
}

const quote = (text: string): string => JSON.stringify(text)
const listOf = (texts: readonly string[]): string => texts.map(quote).join(',')

function lineOf(event: Told): string {
  const { user, impersonatedUser: other } = event
  const groups = user.username === undefined || (user.groups ?? []).length === 0 ? '<none>' : listOf(user.groups ?? [])
  const fields = {
    id: event.auditID,
    stage: event.stage,
    ip: event.sourceIPs?.[0] ?? '<unknown>',
    method: event.verb,
    user: user.username ?? '<none>',
    groups,
    as: other === undefined ? '<self>' : (other.username ?? ''),
    asgroups: other?.groups === undefined ? '<lookup>' : listOf(other.groups),
    'user-agent': event.userAgent ?? '',
    namespace: event.objectRef?.namespace ?? '<none>',
    uri: event.requestURI,
    response: event.responseStatus === undefined ? '<deferred>' : String(event.responseStatus.code ?? 0),
  }
  const told = Object.entries(fields).map(([name, value]) => `${name}=${quote(value)}`)
  return `${event.requestReceivedTimestamp} AUDIT: ${told.join(' ')}`
}
