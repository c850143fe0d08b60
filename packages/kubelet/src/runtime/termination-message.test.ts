import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ContainerStatus } from '@k3s/cri-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readTerminationMessage } from './termination-message.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'term-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

const read = (policy: string, exitCode: number): Promise<string> => {
  const status = {
    exitCode,
    message: 'from the runtime',
    logPath: join(dir, 'log'),
    mounts: [{ containerPath: '/dev/termination-log', hostPath: join(dir, 'message') }],
  } as unknown as ContainerStatus // the fields that are read
  return readTerminationMessage(status, {
    'io.kubernetes.container.terminationMessagePath': '/dev/termination-log',
    'io.kubernetes.container.terminationMessagePolicy': policy,
  })
}

test('a container has the last word, up to 4 KiB of it', async () => {
  await writeFile(join(dir, 'message'), `x${'y'.repeat(4096)}`)
  expect(await read('File', 0)).toBe('y'.repeat(4096))
})

test('the log speaks for a container that failed silently, if its policy says so', async () => {
  const lines = Array.from({ length: 100 }, (_, index) => `2026-01-02T03:04:05Z stderr F line ${index}`)
  await writeFile(join(dir, 'log'), [...lines, '2026-01-02T03:04:05Z stdout P half ', '2026-01-02T03:04:05Z stdout F done', ''].join('\n'))
  const message = await read('FallbackToLogsOnError', 1)
  expect(message.startsWith('line 22\n')).toBe(true)
  expect(message.endsWith('line 99\nhalf done\n')).toBe(true)
  expect(await read('FallbackToLogsOnError', 0)).toBe('from the runtime')
  expect(await read('File', 1)).toBe('from the runtime')
})
