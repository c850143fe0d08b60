import { EventEmitter } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { createLogger, logCrashes } from './log.ts'

it('has in the log what ended the process', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'k3s-log-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'k3s.log')
  const target = new EventEmitter()
  logCrashes(createLogger({ isDebug: false, file }), target)
  target.emit('uncaughtExceptionMonitor', new Error('broken'), 'unhandledRejection')
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({
    level: 'error',
    msg: 'Crashed',
    err: 'broken',
    origin: 'unhandledRejection',
    stack: expect.stringContaining('log.test.ts'),
  })
})
