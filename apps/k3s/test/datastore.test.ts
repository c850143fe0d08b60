/** `k3s datastore ...` as a process, beside a datastore that is in use and through kills. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { openDatastore, type Datastore } from '@k3s/datastore'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const directory = mkdtempSync(join(tmpdir(), 'k3s-datastore-'))
afterAll(() => rmSync(directory, { recursive: true }))

let names = 0
const newPath = (): string => join(directory, `${++names}`)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const everything = { start: Uint8Array.of(0), end: new Uint8Array(0) }

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts `k3s datastore` with arguments; no configuration file of the machine is read. */
function start(...args: readonly string[]): { readonly ended: Promise<Ended>; readonly kill: (signal: NodeJS.Signals) => void } {
  const main = join(import.meta.dirname, '../src/main.ts')
  const child = spawn(process.execPath, ['--conditions=@k3s/source', main, 'datastore', ...args], {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], K3S_DATA_DIR: join(directory, 'data'), K3S_CONFIG_FILE: join(directory, 'config.yaml') },
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, ...output }))
  })
  return { ended, kill: (signal) => void child.kill(signal) }
}

const k3s = (...args: readonly string[]): Promise<Ended> => start(...args).ended

async function contentOf(store: Datastore, revision?: number): Promise<readonly string[]> {
  const { items } = await store.list(everything, { revision })
  return items.map(({ key, value, createRevision, modRevision, version, leaseId }) =>
    [Buffer.from(key).toString(), Buffer.from(value).toString('base64'), createRevision, modRevision, version, leaseId].join(' '),
  )
}

async function fill(store: Datastore, keys: number, valueBytes: number): Promise<void> {
  const { id } = await store.grantLease({ ttlSeconds: 5000 })
  const create = (index: number): Promise<unknown> =>
    store.create(bytes(`/key/${index}`), new Uint8Array(valueBytes).fill(index), index % 10 === 0 ? { leaseId: id } : {})
  for (let start = 0; start < keys; start += 500)
    await Promise.all(Array.from({ length: Math.min(500, keys - start) }, (_, offset) => create(start + offset)))
}

/** Waits until a restore into the file has begun. */
async function isBegun(path: string): Promise<void> {
  for (const deadline = Date.now() + 30_000; Date.now() < deadline; await delay(2)) {
    if (!existsSync(path)) continue
    try {
      const database = new DatabaseSync(path, { readOnly: true })
      try {
        if (database.prepare('select revision from restored').get()?.['revision'] === 0) return
      } finally {
        database.close()
      }
    } catch {
      continue // it has no such table yet
    }
  }
  throw new Error('The restore has not begun')
}

beforeAll(() => writeFileSync(join(directory, 'config.yaml'), ''))

describe('k3s datastore', () => {
  it('saves a datastore that is in use, restores it elsewhere, and finds both equal', async () => {
    const [path, file, copy] = [newPath(), newPath(), newPath()]
    const dsn = `sqlite://${path}`
    await using store = await openDatastore(dsn)
    await fill(store, 2000, 500)
    const done = new AbortController()
    const writers = Array.from({ length: 4 }, async (_, client) => {
      for (let round = 0; !done.signal.aborted; round++)
        await store.update(bytes(`/key/${client * 100 + (round % 100)}`), bytes(`${round}`))
    })
    const saved = await k3s('snapshot', '--datastore-endpoint', dsn, file)
    const busy = await k3s('status', '-o', 'json', '--datastore-endpoint', dsn)
    done.abort()
    await Promise.all(writers)
    expect(saved).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(busy.stdout)).toMatchObject({ driver: 'sqlite', keys: 2000, leases: 1 })
    const [, revision = ''] = /^Saved revision (\d+) with 2000 keys/.exec(saved.stdout) ?? []
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(readdirSync(directory).filter((name) => name.includes('partial'))).toEqual([])

    expect(await k3s('restore', '--datastore-endpoint', `sqlite://${copy}`, file)).toEqual({
      code: 0,
      stdout: `Restored revision ${revision} with 2000 keys and 1 lease\n`,
      stderr: '',
    })
    const equal = { code: 0, stdout: `No difference found: revision ${revision}, 2000 keys, 1 lease\n`, stderr: '' }
    expect(await k3s('verify', file, copy)).toEqual(equal)
    expect(await k3s('verify', dsn, `sqlite://${copy}`)).toEqual(equal)
    expect((await k3s('verify', '--datastore-endpoint', dsn)).stdout).toMatch(/^No problem found: .* of history\n$/)
    await using restored = await openDatastore(`sqlite://${copy}`)
    expect(await contentOf(restored)).toEqual(await contentOf(store, Number(revision)))
    expect((await restored.create(bytes('next'), bytes('1'))).revision).toBe(Number(revision) + 1)
    expect(await k3s('verify', file, copy)).toEqual(equal)
  })

  it('has the file in the data directory for its default, and makes the directory for a restore', async () => {
    const [path, file] = [newPath(), newPath()]
    {
      await using store = await openDatastore(`sqlite://${path}`)
      await fill(store, 3, 10)
    }
    expect((await k3s('snapshot', '--datastore-endpoint', `sqlite://${path}`, file)).code).toBe(0)
    expect(await k3s('status')).toMatchObject({ code: 1, stderr: expect.stringContaining('does not exist') })
    expect((await k3s('restore', file)).stdout).toBe('Restored revision 4 with 3 keys and 1 lease\n')
    expect(existsSync(join(directory, 'data/server/db/state.db'))).toBe(true)
    expect((await k3s('status')).stdout).toMatch(
      /^Driver: +sqlite\nRevision: +4\nCompact revision: +4\nKeys: +3\nLeases: +1\nSize: +[\d.]+ KiB\n$/,
    )
    expect(await k3s('restore', file)).toMatchObject({ code: 1, stderr: expect.stringMatching(/holds data already; .*\n$/) })
    expect((await k3s('compact')).stdout).toMatch(/^Compacted to revision 4; /)
  })

  it('refuses a damaged snapshot before anything is made, and does not replace a file without being told', async () => {
    const [path, file, target] = [newPath(), newPath(), newPath()]
    await using store = await openDatastore(`sqlite://${path}`)
    await fill(store, 100, 100)
    const save = (...more: readonly string[]): Promise<Ended> => k3s('snapshot', '--datastore-endpoint', `sqlite://${path}`, file, ...more)
    expect((await save()).code).toBe(0)
    const whole = readFileSync(file)
    const damaged = Buffer.from(whole)
    damaged[whole.length >> 1] = (damaged[whole.length >> 1] ?? 0) ^ 1
    for (const content of [damaged, whole.subarray(0, -10), Buffer.concat([whole, whole]), Buffer.from('hello')]) {
      writeFileSync(file, content)
      const refused = await k3s('restore', '--datastore-endpoint', `sqlite://${target}`, file)
      expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/^k3s: Snapshot is damaged at byte \d+: .*\n$/) })
      expect(existsSync(target)).toBe(false)
      expect((await k3s('verify', file)).code).toBe(1)
    }
    expect(await save()).toMatchObject({ code: 1, stderr: expect.stringContaining('exists already') })
    expect(readFileSync(file, 'utf8')).toBe('hello')
    expect((await save('--force')).code).toBe(0)
    expect((await k3s('verify', file)).code).toBe(0)
  })

  it('tells what differs, with exit code 1', async () => {
    const [one, other] = [newPath(), newPath()]
    for (const [path, value] of [
      [one, '1'],
      [other, '2'],
    ] as const) {
      await using store = await openDatastore(`sqlite://${path}`)
      await store.create(bytes('/a'), bytes(value))
    }
    expect(await k3s('verify', one, other)).toEqual({
      code: 1,
      stdout: 'Key "/a" has another value in the second\n',
      stderr: 'k3s: The two differ\n',
    })
  })

  for (const command of ['restore', 'migrate'] as const)
    it(`${command} that is killed leaves a target that is refused, and succeeds when it is run again`, async () => {
      const [path, file] = [newPath(), newPath()]
      await using store = await openDatastore(`sqlite://${path}`)
      await fill(store, 15_000, 2000)
      expect((await k3s('snapshot', '--datastore-endpoint', `sqlite://${path}`, file)).code).toBe(0)
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        const target = newPath()
        const args =
          command === 'restore'
            ? ['restore', '--datastore-endpoint', `sqlite://${target}`, file]
            : ['migrate', `sqlite://${path}`, `sqlite://${target}`]
        const run = start(...args)
        await isBegun(target)
        run.kill(signal)
        const { code, stderr } = await run.ended
        if (signal === 'SIGTERM') expect({ code, stderr }).toEqual({ code: 1, stderr: 'k3s: Stopped by SIGTERM\n' })
        await expect(openDatastore(`sqlite://${target}`)).rejects.toMatchObject({ code: 'Incomplete' })
        expect(await k3s('status', '--datastore-endpoint', `sqlite://${target}`)).toMatchObject({
          code: 1,
          stderr: expect.stringContaining('was not finished; run the restore or migration again'),
        })
        expect((await k3s(...args)).code).toBe(0)
        expect((await k3s('verify', path, target)).stdout).toMatch(/^No difference found: revision 15001, 15000 keys, 1 lease\n$/)
        expect((await k3s('verify', target)).stdout).toMatch(/^No problem found/)
      }
    })
})

describe('arguments of k3s datastore', () => {
  for (const [args, code, stderr] of [
    [['snap'], 2, 'Unknown command "snap"'],
    [['snapshot'], 2, "argument 'FILE'"],
    [['snapshot', 'a', 'b'], 2, 'oo many arguments'],
    [['migrate', 'sqlite://a'], 2, "argument 'TO'"],
    [['migrate', 'nonsense', 'sqlite://a'], 1, 'not a DSN'],
    [['migrate', 'sqlite:///none/a', 'sqlite://a'], 1, 'directory "/none" does not exist'],
    [['compact', 'many'], 2, 'a number of 1 or more is needed'],
    [['status', '-o', 'yaml'], 2, 'text or json is needed'],
    [['status', '--datastore-endpoint', 'memry://x'], 1, 'scheme "memry"'],
    [['snapshot', '/none/file'], 1, 'directory "/none" does not exist'],
    [['restore', 'none'], 1, 'Cannot read "none": it does not exist'],
    [['restore', '.'], 1, 'it is a directory'],
    [['verify', '--bogus'], 2, "nknown option '--bogus'"],
  ] as const)
    it(`${args.join(' ')}: one sentence, exit code ${code}`, async () => {
      const ended = await k3s(...args)
      expect(ended).toMatchObject({ code, stdout: '' })
      expect(ended.stderr).toContain(stderr)
      expect(ended.stderr).toMatch(/^k3s: .*\n$/)
    })

  it('without a command the help lists all of them', async () => {
    const { code, stdout } = await k3s()
    expect(code).toBe(0)
    for (const name of ['migrate', 'snapshot', 'restore', 'verify', 'compact', 'status']) expect(stdout).toContain(`  ${name} `)
  })
})
