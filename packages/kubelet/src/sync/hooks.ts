import type { Container, LifecycleHandler, Pod } from '@k3s/api/types/core/v1'
import type { CriClient } from '@k3s/cri-client'
import type { Clock } from '@k3s/lifecycle'
import { actionUrl, httpGet } from '../probes/http-get.ts'

export interface HookTarget {
  readonly pod: Pod
  readonly container: Container
  readonly containerId: string
  readonly podIp: string
}

/** Runs a postStart or preStop hook to its end. Throws when it fails; an abort ends the wait, not what runs in the container. */
export async function runHook(
  handler: LifecycleHandler,
  target: HookTarget,
  cri: CriClient,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const { container, containerId, podIp } = target
  if (handler.exec !== undefined) {
    const cmd = handler.exec.command ?? []
    const { exitCode, stdout, stderr } = await cri.execSync({ containerId, cmd, timeout: 0 }, { signal, timeoutMs: 0 })
    if (exitCode === 0) return
    const output = Buffer.concat([stdout, stderr]).toString('utf8').slice(0, 1024)
    throw new Error(`command '${cmd.join(' ')}' exited with ${exitCode}: ${output}`)
  }
  if (handler.httpGet !== undefined) {
    // Upstream sets no limit either; the signal is the grace period of a preStop hook.
    const answer = await httpGet(actionUrl(handler.httpGet, container, podIp), handler.httpGet, 2 ** 31 - 1, signal)
    if (answer.status >= 400) throw new Error(`HTTP request to hook returned ${answer.status}`)
    return
  }
  if (handler.sleep !== undefined) {
    await clock.sleep((handler.sleep.seconds ?? 0) * 1000, signal)
    return
  }
  throw new Error(`invalid handler: no action for container "${container.name}"`)
}
