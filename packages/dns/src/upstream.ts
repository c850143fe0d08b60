import { createSocket } from 'node:dgram'
import { randomInt } from 'node:crypto'
import { connect, isIP, isIPv6 } from 'node:net'

/** The nameservers of a resolv.conf, as `[host, port]`. Loopback ones are kept: they are the host's own resolver. */
export function nameserversOf(resolvConf: string): readonly (readonly [string, number])[] {
  return resolvConf
    .split('\n')
    .map((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1])
    .filter((address) => address !== undefined && isIP(address.replace(/%.*/, '')) !== 0)
    .map((address) => [address ?? '', 53] as const)
}

// A resolver that has not answered by then is asked no longer; the next one gets its chance.
const timeoutMs = 2000
const maxMessageBytes = 65_535

/** Asks one nameserver over UDP, and again over TCP when the answer was cut off. The id is made anew, so that nobody can guess it. */
export async function ask(server: readonly [string, number], query: Buffer, signal: AbortSignal): Promise<Buffer> {
  const own = Buffer.from(query)
  own.writeUInt16BE(randomInt(65_536), 0)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  const answer = await askUdp(server, own, limit)
  const isTruncated = ((answer[2] ?? 0) & 0x02) !== 0
  const whole = isTruncated ? await askTcp(server, own, limit).catch(() => answer) : answer // a cut answer is better than none
  whole.writeUInt16BE(query.readUInt16BE(0), 0)
  return whole
}

function askUdp([host, port]: readonly [string, number], query: Buffer, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    const finish = (act: () => void): void => {
      signal.removeEventListener('abort', onAbort)
      socket.close()
      act()
    }
    const onAbort = (): void => finish(() => reject(signal.reason))
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('error', (error) => finish(() => reject(error)))
    socket.on('message', (message) => {
      if (message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0)) finish(() => resolve(message))
    })
    // Connected: answers of anybody else do not reach us.
    socket.connect(port, host, () => socket.send(query))
  })
}

function askTcp([host, port]: readonly [string, number], query: Buffer, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal })
    let received = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('close', () => reject(new Error(`Cannot ask nameserver ${host}: it closed the connection`)))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      const length = received.length < 2 ? maxMessageBytes : received.readUInt16BE(0)
      if (received.length < length + 2) return
      resolve(received.subarray(2, length + 2))
      socket.destroy()
    })
    const prefix = Buffer.alloc(2)
    prefix.writeUInt16BE(query.length)
    socket.write(Buffer.concat([prefix, query]))
  })
}
