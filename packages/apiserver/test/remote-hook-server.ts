import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCa, issueCertificate } from '@k3s/pki'
import { onTestFinished } from 'vitest'

/** What a hook is sent. */
export interface Posted {
  readonly kind: string
  readonly apiVersion: string
  readonly spec: Readonly<Record<string, unknown>>
  readonly items: readonly Readonly<Record<string, unknown>>[]
}

export interface HookServer {
  /** A kubeconfig that leads to it. */
  readonly kubeconfig: string
  readonly posted: readonly Posted[]
}

/** A server of its own, closed with the test, that authorization or audit asks or tells over HTTPS. `answer` gives what is sent back, or writes it by itself. */
export async function startHookServer(answer: (posted: Posted, response: ServerResponse) => object | undefined): Promise<HookServer> {
  const ca = await createCa('hook-ca')
  const { cert, key } = await issueCertificate(ca, { commonName: 'hook', sans: ['127.0.0.1'], usages: ['server'] })
  const posted: Posted[] = []
  const server = createServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Posted // what the server sends
      posted.push(body)
      const sent = answer(body, response)
      if (sent !== undefined) response.setHeader('content-type', 'application/json').end(JSON.stringify(sent))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const folder = mkdtempSync(join(tmpdir(), 'k3s-hook-'))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true })
  })
  const { port } = server.address() as AddressInfo // it listens on a port
  const kubeconfig = join(folder, 'kubeconfig')
  const cluster = { server: `https://127.0.0.1:${port}/ask`, 'certificate-authority-data': Buffer.from(ca.cert).toString('base64') }
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: 'hook', cluster }],
      contexts: [{ name: 'hook', context: { cluster: 'hook' } }],
      'current-context': 'hook',
    }),
  )
  return { kubeconfig, posted }
}
