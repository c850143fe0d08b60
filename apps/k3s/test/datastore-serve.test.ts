import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'serve-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Run {
  readonly stderr: () => string
  readonly ended: Promise<number | null>
  readonly kill: (signal: NodeJS.Signals) => void
}

function run(...args: readonly string[]): Run {
  const main = join(import.meta.dirname, '../src/main.ts')
  const child = spawn(process.execPath, ['--conditions=@k3s/source', main, 'datastore', 'serve', ...args])
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = once(child, 'exit').then(([code]: unknown[]) => (typeof code === 'number' ? code : null))
  return { stderr: () => stderr, ended, kill: (signal) => void child.kill(signal) }
}

describe('k3s datastore serve', () => {
  it('says where it serves, serves there, and ends with 0 at SIGTERM', async () => {
    const served = run('--datastore-endpoint', `sqlite://${join(folder, 'store.db')}`, '--listen', '127.0.0.1:0')
    const url = await vi.waitFor(
      () => {
        const [, found] = /"url":"([^"]+)"/.exec(served.stderr()) ?? []
        if (found === undefined) throw new Error(`It has said nothing yet but "${served.stderr()}"`)
        return found
      },
      { timeout: 30_000 },
    )
    expect(await (await fetch(`${url}/health`)).json()).toEqual({ health: 'true', reason: '' })
    expect(await (await fetch(`${url}/metrics`)).text()).toContain('k3s_datastore_commit_duration_seconds')
    served.kill('SIGTERM')
    expect(await served.ended).toBe(0)
  })

  it.each([
    [['--listen', 'nowhere'], 'Cannot use "nowhere" for --listen: HOST:PORT or unix:PATH is needed'],
    [['--cert-file', 'a'], 'Cannot use one of --cert-file and --key-file alone: give both'],
    [['--trusted-ca-file', 'a'], 'Cannot use --trusted-ca-file alone: give --cert-file and --key-file too'],
    [['--cert-file', '/none', '--key-file', '/none'], 'Cannot read "/none" of --cert-file'],
  ])('%j is a mistake of the user: one sentence, and 2', async (args, sentence) => {
    const refused = run('--datastore-endpoint', 'memory:', ...args)
    expect(await refused.ended).toBe(2)
    expect(refused.stderr()).toContain(sentence)
  })

  it('ends with 1 and one sentence where the address is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const refused = run('--datastore-endpoint', 'memory:', '--listen', `127.0.0.1:${port}`)
    expect(await refused.ended).toBe(1)
    expect(refused.stderr()).toContain(`Cannot listen on "127.0.0.1:${port}": it is taken`)
    taken.close()
  })
})
