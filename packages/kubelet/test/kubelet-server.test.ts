import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { request, type RequestOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { nodes } from '@k3s/api/types/core/v1'
import type { ServerAccess, ServerCaller, TlsMaterial } from '@k3s/kubelet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nodeName, startHarness, type Harness } from './harness.ts'

// Needs openssl, for certificates.

const run = promisify(execFile)
let dir: string
let tls: TlsMaterial
let client: { readonly cert: string; readonly key: string }
let harness: Harness
let streaming: Server
let port: number
let onTlsChange: () => void = () => {}
const asked: (ServerCaller & ServerAccess)[] = []

async function leaf(name: string, subject: string): Promise<{ cert: string; key: string }> {
  const file = (suffix: string): string => join(dir, `${name}.${suffix}`)
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', file('key')]
  await run('openssl', ['req', '-new', ...key, '-subj', subject, '-out', file('csr')])
  await run('openssl', [
    'x509',
    '-req',
    '-in',
    file('csr'),
    '-CA',
    join(dir, 'ca.crt'),
    '-CAkey',
    join(dir, 'ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-out',
    file('crt'),
  ])
  return { cert: await readFile(file('crt'), 'utf8'), key: await readFile(file('key'), 'utf8') }
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'kt-'))
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    join(dir, 'ca.key'),
    '-subj',
    '/CN=ca',
    '-days',
    '2',
    '-out',
    join(dir, 'ca.crt'),
  ])
  tls = { ...(await leaf('server', '/CN=node-1')), clientCa: await readFile(join(dir, 'ca.crt'), 'utf8') }
  client = await leaf('client', '/O=system:masters/CN=kube-apiserver')
  streaming = createServer()
  streaming.on('upgrade', (_request, socket) =>
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nfrom the runtime'),
  )
  await new Promise<void>((resolve) => streaming.listen(0, '127.0.0.1', resolve))
  harness = await startHarness({
    cri: {
      streamingUrl: `http://127.0.0.1:${(streaming.address() as AddressInfo).port}/`, // it listens on a port
      script: ({ config }) =>
        config.metadata?.name === 'crash'
          ? { output: [{ text: 'oops' }], exitAfterMs: 1, exitCode: 1 }
          : { output: [{ text: 'one' }, { text: 'two' }], exec: (command) => ({ exitCode: 0, stdout: command.join('+') }) },
    },
    kubelet: {
      address: '127.0.0.1',
      port: 0,
      tls: {
        current: () => tls,
        onChange: (listener) => {
          onTlsChange = listener
          return () => {}
        },
      },
      authorize(caller, access) {
        asked.push({ ...caller, ...access })
        if (caller.user === undefined && caller.bearerToken === undefined) return Promise.resolve('unauthenticated')
        return Promise.resolve(caller.bearerToken === 'weak' ? 'deny' : 'allow')
      },
      renderMetrics: () => Promise.resolve('kubelet_up 1\n'),
    },
  })
  await harness.start()
  port = harness.api.peek(nodes, nodeName)?.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0
  harness.createPod('web', { containers: [{ name: 'app', image: 'busybox:1' }] })
  harness.createPod('bad', { containers: [{ name: 'crash', image: 'busybox:1' }] })
  await harness.untilPhase('web', 'Running')
})
afterAll(async () => {
  await harness?.[Symbol.asyncDispose]()
  streaming?.close()
  await rm(dir, { recursive: true })
})

interface Answer {
  readonly status: number | undefined
  readonly body: string
  readonly issuedTo: string | undefined
}

const ask = (path: string, options: RequestOptions = client): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, rejectUnauthorized: false, agent: false, ...options }, (response) => {
      const socket = response.socket as unknown as { getPeerCertificate(): { subject?: { CN?: string } } } // HTTPS
      const issuedTo = socket.getPeerCertificate().subject?.CN
      text(response).then((body) => resolve({ status: response.statusCode, body, issuedTo }), reject)
    })
    sent.on('upgrade', (response, socket, head) => {
      void text(socket).then((body) => resolve({ status: response.statusCode, body: head.toString() + body, issuedTo: undefined }), reject)
    })
    sent.on('error', reject)
    sent.end()
  })

test('asks who calls and what may be done', async () => {
  expect((await ask('/pods', {})).status).toBe(401)
  expect((await ask('/stats/summary', { headers: { authorization: 'Bearer weak' } })).status).toBe(403)
  expect(asked.at(-1)).toMatchObject({ bearerToken: 'weak', verb: 'get', subresource: 'stats' })
  expect(await ask('/healthz')).toMatchObject({ status: 200, body: 'ok' })
  expect(asked.at(-1)).toMatchObject({ user: 'kube-apiserver', groups: ['system:masters'], subresource: 'healthz' })
})

test('serves logs of running and of earlier containers', async () => {
  expect(await ask('/containerLogs/default/web/app')).toMatchObject({ status: 200, body: 'one\ntwo\n' })
  expect((await ask('/containerLogs/default/web/app?tailLines=1')).body).toBe('two\n')
  await harness.until('crashed', () => harness.pod('bad')?.status?.containerStatuses?.[0]?.lastState?.terminated !== undefined)
  expect((await ask('/containerLogs/default/bad/crash?previous=true')).body).toBe('oops\n')
  expect(await ask('/containerLogs/default/web/app?previous=true')).toMatchObject({
    status: 400,
    body: 'previous terminated container "app" in pod "web" not found',
  })
  expect(await ask('/containerLogs/default/web/none')).toMatchObject({ status: 404, body: 'container none is not valid for pod web' })
  expect((await ask('/containerLogs/default/web/app?tailLines=x')).status).toBe(400)
})

test('follows a log until the container ends', async () => {
  harness.createPod('follow', { restartPolicy: 'Never', containers: [{ name: 'app', image: 'busybox:1' }] })
  await harness.untilPhase('follow', 'Running')
  const [container] = [...harness.cri.containers.values()].filter(({ config }) => config.labels['io.kubernetes.pod.name'] === 'follow')
  const answer = ask('/containerLogs/default/follow/app?follow=true')
  await harness.cri.write(container?.id ?? '', 'three')
  harness.cri.exit(container?.id ?? '', 0)
  expect((await answer).body).toBe('one\ntwo\nthree\n')
})

test('runs commands and opens streams', async () => {
  expect(await ask('/run/default/web/app?cmd=a%20b', { ...client, method: 'POST' })).toMatchObject({ status: 200, body: 'a+b' })
  const upgrade = {
    ...client,
    method: 'POST',
    headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'v4.channel.k8s.io' },
  }
  expect(await ask('/exec/default/web/app?command=ls&output=1', upgrade)).toMatchObject({ status: 101, body: 'from the runtime' })
  expect(await ask('/exec/default/web/none?command=ls&output=1', upgrade)).toMatchObject({ status: 404 })
  expect(await ask('/portForward/default/web', upgrade)).toMatchObject({ status: 101, body: 'from the runtime' })
  expect((await ask('/exec/default/web/app?command=ls', upgrade)).body).toContain('you must specify at least 1 of stdin, stdout, stderr')
  expect(await ask('/exec/default/web/app?command=ls&output=1', { ...client, method: 'POST' })).toMatchObject({ status: 400 })
})

test('tells of pods and what they use', async () => {
  const list = JSON.parse((await ask('/pods')).body) as { items: { metadata: { name: string }; status: { phase: string } }[] }
  expect(list.items.find(({ metadata }) => metadata.name === 'web')?.status.phase).toBe('Running')
  const summary = JSON.parse((await ask('/stats/summary')).body) as {
    node: { nodeName: string; memory: { workingSetBytes: number } }
    pods: { podRef: { name: string } }[]
  }
  expect(summary.node.nodeName).toBe(nodeName)
  expect(summary.pods.map(({ podRef }) => podRef.name)).toContain('web')
  expect((await ask('/metrics/resource')).body).toContain(
    'container_memory_working_set_bytes{container="app",namespace="default",pod="web"}',
  )
  expect((await ask('/metrics')).body).toBe('kubelet_up 1\n')
  expect((await ask('/logs/')).status).toBe(404)
})

test('takes new certificates while it runs', async () => {
  expect((await ask('/healthz')).issuedTo).toBe('node-1')
  tls = { ...tls, ...(await leaf('renewed', '/CN=renewed')) }
  onTlsChange()
  expect((await ask('/healthz')).issuedTo).toBe('renewed')
})
