import { openSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runAll, type Service } from '@k3s/lifecycle'
import { describe, expect, it } from 'vitest'
import { FatalError } from './errors.ts'
import { dataDirError, listenError, sentencesOf } from './explain.ts'

const failing = (name: string, cause: Error): Service => ({ name, run: () => Promise.reject(cause) })

describe('sentencesOf()', () => {
  it('tells what failed at the bottom of nested services, once', async () => {
    const outer: Service = {
      name: 'node',
      run: ({ signal, ready }) => runAll([failing('containerd', new FatalError('Cannot find containerd'))], signal, ready),
    }
    const error: unknown = await runAll([outer], new AbortController().signal).catch((cause: unknown) => cause)
    expect(sentencesOf(error)).toEqual(['Cannot find containerd'])
    expect(sentencesOf(new AggregateError([error, error]))).toEqual(['Cannot find containerd'])
  })

  it('keeps the message of an error that has a cause of its own', () => {
    expect(sentencesOf(new FatalError('Cannot use it', { cause: new Error('EIO') }))).toEqual(['Cannot use it'])
  })

  it('tells of a service that ended by itself', async () => {
    const error: unknown = await runAll([{ name: 'dns', run: async () => {} }], new AbortController().signal).catch(
      (cause: unknown) => cause,
    )
    expect(sentencesOf(error)).toEqual(['Service "dns" ended by itself'])
  })
})

describe('dataDirError()', () => {
  it('says why a path cannot be used, and leaves other errors alone', () => {
    const folder = mkdtempSync(join(tmpdir(), 'explain-'))
    try {
      openSync(folder, 'w')
      expect.unreachable()
    } catch (error) {
      expect(dataDirError('/data', error)).toEqual(
        new FatalError('Cannot use data directory "/data": EISDIR; give another one with --data-dir'),
      )
    } finally {
      rmSync(folder, { recursive: true })
    }
    const full = Object.assign(new Error('full'), { code: 'ENOSPC', syscall: 'write' })
    expect(dataDirError('/data', full)).toEqual(
      new FatalError('Cannot use data directory "/data": no space is left on the device; give another one with --data-dir'),
    )
    const bug = new TypeError('x is not a function')
    expect(dataDirError('/data', bug)).toBe(bug)
  })
})

describe('listenError()', () => {
  it('names the flag by which a taken port is changed', async () => {
    const first = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => first.once('listening', resolve))
    const address = first.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const second = createServer()
    const cause = await new Promise((resolve) => second.once('error', resolve).listen(port, '127.0.0.1'))
    expect(listenError({ host: '127.0.0.1', port, portFlag: '--x', addressFlag: '--y' }, cause)).toEqual(
      new FatalError(`Cannot listen on 127.0.0.1:${port}: the port is taken; stop the program that has it or give another one with --x`),
    )
    first.close()
  })
})
