import { setTimeout as delay } from 'node:timers/promises'
import { finishFrame, framePrefixBytes } from './grpc-stream.ts'
import type { GrpcStream } from './grpc-stream.ts'
import type { HttpAnswer } from './grpc-server.ts'
import { toGrpcError } from './grpc-error.ts'
import { reportedVersion } from './member.ts'
import type { Member } from './member.ts'

/** How often a client that watches the health gets it looked at anew, milliseconds. */
const healthIntervalMs = 5000
/** The values of grpc.health.v1's status. */
const serving = 1
const notServing = 2

/** Why the datastore does not answer; undefined: it does. */
async function findFault(member: Member): Promise<string | undefined> {
  try {
    await member.currentRevision()
    return member.isOutOfSpace ? 'ALARM NOSPACE' : undefined
  } catch (error) {
    return toGrpcError(error).message
  }
}

/** A frame of grpc.health.v1.HealthCheckResponse, whose only field is the status. */
async function checkHealth(member: Member): Promise<Buffer> {
  const isServing = (await findFault(member)) === undefined
  return finishFrame(Buffer.concat([Buffer.alloc(framePrefixBytes), Buffer.from([0x08, isServing ? serving : notServing])]))
}

/** grpc.health.v1's Check, of any service: all stand on the one datastore. */
export function answerHealth(member: Member): Promise<Buffer> {
  return checkHealth(member)
}

/** grpc.health.v1's Watch: the status, and each change of it. */
export async function watchHealth(stream: GrpcStream, member: Member): Promise<void> {
  let told: Buffer | undefined
  while (!stream.signal.aborted) {
    const status = await checkHealth(member)
    if (told === undefined || !told.equals(status)) await stream.send(status)
    told = status
    await delay(healthIntervalMs, undefined, { signal: stream.signal, ref: false }).catch(() => {}) // the loop looks at the signal
  }
}

/** etcd's plain endpoints: `/health`, `/livez`, `/readyz`, `/version`, and `/metrics` when there are any. */
export async function answerPlain(
  path: string,
  member: Member,
  metrics: (() => string | Promise<string>) | undefined,
): Promise<HttpAnswer | undefined> {
  switch (path) {
    case '/health': {
      const reason = await findFault(member)
      const body = JSON.stringify({ health: String(reason === undefined), reason: reason ?? '' })
      return { status: reason === undefined ? 200 : 503, contentType: 'application/json', body }
    }
    case '/livez':
    case '/readyz': {
      const reason = path === '/livez' ? undefined : await findFault(member)
      return { status: reason === undefined ? 200 : 503, contentType: 'text/plain; charset=utf-8', body: `${reason ?? 'ok'}\n` }
    }
    case '/version': {
      const body = JSON.stringify({ etcdserver: reportedVersion, etcdcluster: reportedVersion.replace(/\d+$/, '0') })
      return { status: 200, contentType: 'application/json', body }
    }
    case '/metrics':
      return metrics === undefined
        ? undefined
        : { status: 200, contentType: 'text/plain; version=0.0.4; charset=utf-8', body: await metrics() }
    default:
      return undefined
  }
}
