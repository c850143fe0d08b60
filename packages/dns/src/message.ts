import {
  decode,
  encode,
  RECURSION_AVAILABLE,
  RECURSION_DESIRED,
  AUTHORITATIVE_ANSWER,
  TRUNCATED_RESPONSE,
  type Answer as PacketAnswer,
  type DecodedPacket,
  type OptAnswer,
} from 'dns-packet'
import type { Answer, DnsRecord } from './records.ts'

const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const
export type Rcode = keyof typeof rcodes

/** What a client may be sent over UDP when it does not say. */
const plainUdpBytes = 512
// As CoreDNS: larger datagrams are fragmented and often dropped.
const maxUdpBytes = 1232

export interface Query {
  readonly id: number
  readonly flags: number
  /** As asked, for the answer's question section; 0x20 case games are kept. */
  readonly name: string
  readonly type: string
  readonly hasEdns: boolean
  /** Largest datagram that the client takes. */
  readonly udpBytes: number
}

/** Reads a query; undefined when it is none that can be answered at all. */
export function readQuery(message: Buffer): Query | undefined {
  let packet: DecodedPacket
  try {
    packet = decode(message)
  } catch {
    return undefined // no DNS message: answering it would make us a reflector
  }
  const question = packet.questions?.[0]
  if (packet.type !== 'query' || question === undefined || packet.questions?.length !== 1) return undefined
  const opt = packet.additionals?.find((record): record is OptAnswer & { name: string } => record.type === 'OPT')
  return {
    id: packet.id ?? 0,
    flags: packet.flags ?? 0,
    name: question.name,
    type: question.type,
    hasEdns: opt !== undefined,
    udpBytes: opt === undefined ? plainUdpBytes : Math.max(plainUdpBytes, Math.min(maxUdpBytes, opt.udpPayloadSize)),
  }
}

const toPacket = (record: DnsRecord, ttl: number): PacketAnswer => ({ ...record, class: 'IN', ttl }) as PacketAnswer // type and data of a DnsRecord fit each other

/**
 * The wire form of an answer. `limit` is the largest message in bytes: more is cut to the question with the truncation mark,
 * so that the client asks again over TCP.
 */
export function writeAnswer(
  query: Query,
  answer: Answer,
  options: { readonly domain: string; readonly ttlSeconds: number; readonly limit: number },
): Buffer {
  const { domain, ttlSeconds } = options
  const flags = (query.flags & RECURSION_DESIRED) | RECURSION_AVAILABLE | AUTHORITATIVE_ANSWER | rcodes[answer.rcode]
  const soa: PacketAnswer = {
    name: domain,
    type: 'SOA',
    class: 'IN',
    ttl: ttlSeconds,
    data: {
      mname: `ns.dns.${domain}`,
      rname: `hostmaster.${domain}`,
      serial: 1,
      refresh: 7200,
      retry: 1800,
      expire: 86_400,
      minimum: ttlSeconds,
    },
  }
  const edns: PacketAnswer[] = query.hasEdns
    ? [
        {
          type: 'OPT',
          name: '.',
          udpPayloadSize: maxUdpBytes,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        } as unknown as PacketAnswer,
      ]
    : [] // the typings leave out what encoding needs
  const questions = [{ name: query.name, type: query.type as 'A', class: 'IN' as const }] // any type: it only goes back to the asker
  const isEmpty = answer.answers.length === 0
  const whole = encode({
    type: 'response',
    id: query.id,
    flags,
    questions,
    answers: answer.answers.map((record) => toPacket(record, ttlSeconds)),
    authorities: isEmpty && answer.rcode !== 'SERVFAIL' ? [soa] : [],
    additionals: [...answer.additionals.map((record) => toPacket(record, ttlSeconds)), ...edns],
  })
  if (whole.length <= options.limit) return whole
  return encode({ type: 'response', id: query.id, flags: flags | TRUNCATED_RESPONSE, questions, additionals: edns })
}

/** An answer that is only a failure. */
export function writeFailure(query: Query, rcode: Rcode): Buffer {
  return encode({
    type: 'response',
    id: query.id,
    flags: (query.flags & RECURSION_DESIRED) | RECURSION_AVAILABLE | rcodes[rcode],
    questions: [{ name: query.name, type: query.type as 'A', class: 'IN' }],
  }) // as above
}

/** Smallest time to live of an answer's records, seconds; `fallback` when it has none. */
export function ttlOf(message: Buffer, fallback: number): number {
  try {
    const packet = decode(message)
    const records = [...(packet.answers ?? []), ...(packet.authorities ?? [])]
    return records.reduce((least, record) => Math.min(least, 'ttl' in record ? (record.ttl ?? fallback) : fallback), fallback)
  } catch {
    return 0 // what cannot be read is passed on but not kept
  }
}

/** The addresses and aliases in an answer. */
export function recordsOf(message: Buffer): readonly DnsRecord[] {
  try {
    return (decode(message).answers ?? []).flatMap((record): readonly DnsRecord[] =>
      record.type === 'A' || record.type === 'AAAA' || record.type === 'CNAME'
        ? [{ name: record.name, type: record.type, data: record.data }]
        : [],
    )
  } catch {
    return [] // as above
  }
}

/** A query of our own. */
export function writeQuery(name: string, type: string): Buffer {
  return encode({ type: 'query', id: 1, flags: RECURSION_DESIRED, questions: [{ name, type: type as 'A', class: 'IN' }] }) // as above
}
