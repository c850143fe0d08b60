import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { LifecycleHandler } from '@k3s/api/types/core/v1'
import type { CriClient } from '@k3s/cri-client'
import { FakeClock } from '@k3s/lifecycle'
import { expect, test } from 'vitest'
import { runHook } from './hooks.ts'

const clock = new FakeClock()
const cri = {
  execSync: ({ cmd }: { cmd: readonly string[] }) =>
    Promise.resolve({ exitCode: Number(cmd[0]), stdout: Buffer.from('out'), stderr: Buffer.from('err') }),
} as unknown as CriClient // the one call that a hook makes
const run = (handler: LifecycleHandler, signal = new AbortController().signal): Promise<void> =>
  runHook(
    handler,
    { pod: { metadata: { name: 'p' }, spec: { containers: [] } }, container: { name: 'c' }, containerId: 'id', podIp: '127.0.0.1' },
    cri,
    clock,
    signal,
  )

test('a hook runs a command and fails with its exit code', async () => {
  await expect(run({ exec: { command: ['0'] } })).resolves.toBeUndefined()
  await expect(run({ exec: { command: ['3'] } })).rejects.toThrow(`command '3' exited with 3: outerr`)
})

test('a hook asks over HTTP and fails from 400 on', async () => {
  const server = createServer((request, response) => response.writeHead(request.url === '/bad' ? 400 : 302).end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo // it listens on a port
  await expect(run({ httpGet: { port, path: '/ok' } })).resolves.toBeUndefined()
  await expect(run({ httpGet: { port, path: '/bad' } })).rejects.toThrow('HTTP request to hook returned 400')
  await new Promise((resolve) => server.close(resolve))
})

test('a hook sleeps until its time or its end', async () => {
  const slept = run({ sleep: { seconds: 5 } })
  await clock.advance(5000)
  await expect(slept).resolves.toBeUndefined()
  const stop = new AbortController()
  const cut = run({ sleep: { seconds: 5 } }, stop.signal)
  stop.abort(new Error('enough'))
  await expect(cut).rejects.toThrow('enough')
})
