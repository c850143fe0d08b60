import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { CriError, type CriClient } from '@k3s/cri-client'
import { FakeClock, noLogger } from '@k3s/lifecycle'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LogRotator } from './log-rotator.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rot-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})
const labels = {
  'io.kubernetes.pod.uid': 'u',
  'io.kubernetes.pod.name': 'p',
  'io.kubernetes.pod.namespace': 'ns',
  'io.kubernetes.container.name': 'c',
}
/** A runtime that makes a new log when it is told to, unless it fails. */
const rotatorOf = (clock: FakeClock, log: string, fails = false): LogRotator => {
  const cri = {
    listContainers: () =>
      Promise.resolve({ containers: [{ id: 'id', labels, annotations: { 'io.kubernetes.container.restartCount': '0' } }] }),
    reopenContainerLog: () => (fails ? Promise.reject(new CriError('UNKNOWN', 'no')) : writeFile(log, '')),
  } as unknown as CriClient // the calls that are made
  return new LogRotator({ cri, clock, logger: noLogger, podLogsDir: dir, maxBytes: 10, maxFiles: 3 })
}

test('LogRotator renames a log that is too large, compresses older ones and removes the oldest', async () => {
  const clock = new FakeClock(Date.UTC(2026, 0, 2, 3, 4, 5))
  const logs = join(dir, 'ns_p_u/c')
  const log = join(logs, '0.log')
  await mkdir(logs, { recursive: true })
  const rotator = rotatorOf(clock, log)
  const { signal } = new AbortController()
  await writeFile(log, 'small')
  await rotator.rotateAll(signal)
  expect(await readdir(logs)).toEqual(['0.log'])
  for (const content of ['first large log', 'second large log', 'third large log']) {
    await writeFile(log, content)
    await rotator.rotateAll(signal)
    await clock.advance(1000)
  }
  expect((await readdir(logs)).toSorted()).toEqual(['0.log', '0.log.20260102-030406.gz', '0.log.20260102-030407'])
  expect(gunzipSync(await readFile(join(logs, '0.log.20260102-030406.gz'))).toString()).toBe('second large log')
  expect(await readFile(join(logs, '0.log.20260102-030407'), 'utf8')).toBe('third large log')
})

test('LogRotator gives a log its name back when the runtime does not open a new one', async () => {
  const logs = join(dir, 'ns_p_u/c')
  const log = join(logs, '0.log')
  await mkdir(logs, { recursive: true })
  await writeFile(log, 'a log that is large')
  await rotatorOf(new FakeClock(), log, true).rotateAll(new AbortController().signal)
  expect(await readdir(logs)).toEqual(['0.log'])
})
