/**
 * Writes ConfigMaps without pause until it is told to stop by SIGTERM, and reports on standard output, one JSON array a line, what it attempts
 * and what the server acknowledged. Run as a program of its own:
 *
 *   node --conditions=@k3s/source writer.ts KUBECONFIG SERVER-URL
 */
import { writeSync } from 'node:fs'
import { configmaps } from '@k3s/api/types/core/v1'
import { createClient, createRestTransport, loadKubeconfig } from '@k3s/client'

/** `try` comes before the request is sent, `ack` after its answer; `value` is the counter's value of an update. */
export type Report = readonly ['try' | 'ack', 'create' | 'update' | 'delete', string, number]

const workers = 8

async function write(kubeconfig: string, server: string): Promise<void> {
  await using transport = createRestTransport({
    ...(await loadKubeconfig(kubeconfig)),
    server,
    timeouts: { connectMs: 1000, requestMs: 5000 },
  })
  const client = createClient(transport).resource(configmaps)
  const namespace = 'default'
  const stop = new AbortController()
  process.once('SIGTERM', () => stop.abort())
  const report = (...line: Report): void => void writeSync(1, `${JSON.stringify(line)}\n`)
  const attempt = async (verb: Report[1], name: string, value: number, request: () => Promise<unknown>): Promise<boolean> => {
    report('try', verb, name, value)
    try {
      await request()
    } catch {
      // Not acknowledged: whether it happened is not known, and need not be.
      await new Promise((resolve) => setTimeout(resolve, 20))
      return false
    }
    report('ack', verb, name, value)
    return true
  }
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      const counter = `counter-${worker}`
      for (let turn = 1; !stop.signal.aborted; turn++) {
        const name = `made-${worker}-${turn}`
        const isMade = await attempt('create', name, 0, () =>
          client.create({ metadata: { name, namespace }, data: { turn: String(turn) } }),
        )
        await attempt('update', counter, turn, () =>
          client.patch(
            counter,
            { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: counter }, data: { turn: String(turn) } },
            { namespace, type: 'apply', fieldManager: 'writer', force: true },
          ),
        )
        if (isMade && turn % 3 === 0) await attempt('delete', name, 0, () => client.delete(name, { namespace }))
      }
    }),
  )
}

const [kubeconfig = '', server = ''] = process.argv.slice(2)
await write(kubeconfig, server)
