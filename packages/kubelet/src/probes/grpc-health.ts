import { connect } from 'node:http2'
import { bracketed, dialMessage } from './http-get.ts'

const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const

export interface HealthAnswer {
  readonly serving: boolean
  readonly message: string
}

/** One grpc.health.v1.Health/Check without TLS. Rejects only on abort of `signal`. */
export async function grpcHealth(
  host: string,
  port: number,
  service: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<HealthAnswer> {
  signal.throwIfAborted()
  const session = connect(`http://${bracketed(host)}:${port}`)
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
  try {
    return await new Promise<HealthAnswer>((resolve) => {
      const fail = (message: string): void => resolve({ serving: false, message })
      limit.addEventListener(
        'abort',
        () =>
          fail(`timeout: failed to connect service "${bracketed(host)}:${port}" within ${timeoutMs / 1000}s: context deadline exceeded`),
        { once: true },
      )
      session.on('error', (error) => fail(`error: ${dialMessage(error, host, port)}`))
      const stream = session.request({
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Check',
        'content-type': 'application/grpc',
        'user-agent': 'kube-probe/1.36',
        te: 'trailers',
      })
      const chunks: Buffer[] = []
      let code = ''
      let text = ''
      const readStatus = (headers: Readonly<Record<string, unknown>>): void => {
        const { 'grpc-status': status, 'grpc-message': message } = headers
        if (typeof status !== 'string' && typeof status !== 'number') return
        code = String(status)
        text = typeof message === 'string' ? decodeURIComponent(message) : ''
      }
      stream.on('response', readStatus) // a server that fails at once sends its status here
      stream.on('trailers', readStatus)
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('error', (error) => fail(`error: ${dialMessage(error.cause ?? error, host, port)}`))
      stream.on('end', () => {
        if (code !== '0') {
          fail(`error: health rpc probe failed: rpc error: code = ${code} desc = ${text}`)
          return
        }
        const status = servingStatus(Buffer.concat(chunks))
        resolve({ serving: status === 1, message: `service unhealthy (responded with "${statusNames[status] ?? String(status)}")` })
      })
      stream.end(checkRequest(service))
    })
  } finally {
    session.destroy()
    signal.throwIfAborted()
  }
}

/** A frame (uncompressed, length) with HealthCheckRequest, whose field 1 is the service. */
function checkRequest(service: string): Buffer {
  const name = Buffer.from(service)
  const body = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name])
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)]
}

/** Field 1 of HealthCheckResponse, an enum below 128; absent means 0. */
function servingStatus(frame: Buffer): number {
  return frame[5] === 0x08 ? (frame[6] ?? 0) : 0
}
