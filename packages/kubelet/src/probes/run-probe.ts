import { connect } from 'node:net'
import type { Container, Probe } from '@k3s/api/types/core/v1'
import { isCriError, type CriClient } from '@k3s/cri-client'
import { grpcHealth } from './grpc-health.ts'
import { actionUrl, dialMessage, httpGet, resolvePort } from './http-get.ts'

/** `warning` counts as a success; its text becomes an event. */
export interface ProbeOutcome {
  readonly result: 'success' | 'warning' | 'failure'
  readonly output: string
}

export interface ProbeTarget {
  readonly containerId: string
  readonly container: Container
  readonly podIp: string
}

const maxRedirects = 10

/** Asks a container once how it is. Rejects when the probe itself cannot be done: that is neither a success nor a failure. */
export async function runProbe(probe: Probe, target: ProbeTarget, cri: CriClient, signal: AbortSignal): Promise<ProbeOutcome> {
  const timeoutSeconds = probe.timeoutSeconds ?? 1
  if (probe.exec !== undefined) return await execProbe(probe.exec.command ?? [], timeoutSeconds, target, cri, signal)
  if (probe.httpGet !== undefined) return await httpProbe(probe, target, timeoutSeconds * 1000, signal)
  if (probe.tcpSocket !== undefined) {
    const { host = '', port } = probe.tcpSocket
    return await tcpProbe(host === '' ? target.podIp : host, resolvePort(port, target.container), timeoutSeconds * 1000, signal)
  }
  if (probe.grpc !== undefined) {
    const { port, service = '' } = probe.grpc
    const { serving, message } = await grpcHealth(target.podIp, port, service, timeoutSeconds * 1000, signal)
    return serving ? { result: 'success', output: '' } : { result: 'failure', output: message }
  }
  throw new Error(`missing probe handler for ${target.container.name}`)
}

async function execProbe(
  cmd: readonly string[],
  timeout: number,
  { containerId }: ProbeTarget,
  cri: CriClient,
  signal: AbortSignal,
): Promise<ProbeOutcome> {
  try {
    const { stdout, stderr, exitCode } = await cri.execSync({ containerId, cmd, timeout }, { signal })
    const output = Buffer.concat([stdout, stderr])
      .subarray(0, 10 * 1024)
      .toString('utf8')
    return { result: exitCode === 0 ? 'success' : 'failure', output }
  } catch (error) {
    if (isCriError(error, 'DEADLINE_EXCEEDED'))
      return { result: 'failure', output: `command timed out: "${cmd.join(' ')}" timed out after ${timeout}s` }
    throw error
  }
}

async function httpProbe(probe: Probe, { container, podIp }: ProbeTarget, timeoutMs: number, signal: AbortSignal): Promise<ProbeOutcome> {
  const action = probe.httpGet
  if (action === undefined) throw new Error('not an httpGet probe')
  let url = actionUrl(action, container, podIp)
  const { hostname } = url
  for (let redirects = 0; ; redirects++) {
    let answer
    try {
      answer = await httpGet(url, action, timeoutMs, signal)
    } catch (error) {
      signal.throwIfAborted()
      return { result: 'failure', output: error instanceof Error ? error.message : String(error) }
    }
    const { status, body, location } = answer
    if (status < 200 || status >= 400) return { result: 'failure', output: `HTTP probe failed with statuscode: ${status}` }
    if (status < 300 || location === undefined) return { result: 'success', output: body }
    const next = new URL(location, url)
    // Following it elsewhere would let a pod make the node ask for anything.
    if (next.hostname !== hostname) return { result: 'warning', output: `Probe terminated redirects, Response body: ${body}` }
    if (redirects >= maxRedirects) return { result: 'failure', output: `Get "${next.href}": stopped after ${maxRedirects} redirects` }
    url = next
  }
}

async function tcpProbe(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<ProbeOutcome> {
  signal.throwIfAborted()
  return await new Promise<ProbeOutcome>((resolve, reject) => {
    const socket = connect({ host, port, timeout: timeoutMs })
    const finish = (outcome: ProbeOutcome): void => {
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
      resolve(outcome)
    }
    const onAbort = (): void => {
      socket.destroy()
      reject(signal.reason as Error) // whatever the owner aborted with
    }
    signal.addEventListener('abort', onAbort, { once: true })
    socket.on('connect', () => finish({ result: 'success', output: '' }))
    socket.on('timeout', () => finish({ result: 'failure', output: `dial tcp ${host}:${port}: i/o timeout` }))
    socket.on('error', (error) => finish({ result: 'failure', output: dialMessage(error, host, port) }))
  })
}
