import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatastore } from '@k3s/datastore'
import Database from 'better-sqlite3'
import { afterAll, describe, expect, it } from 'vitest'
import { startWriter } from './start-writer.ts'

const directory = mkdtempSync(join(tmpdir(), 'datastore-file-'))
afterAll(() => rmSync(directory, { recursive: true }))

let files = 0
const newPath = (): string => join(directory, `${++files}.db`)
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const workerUrl = new URL('../src/drivers/sqlite-worker.ts', import.meta.url)

/** Makes a file with other software. */
function make(path: string, sql: string): void {
  const database = new Database(path)
  database.exec(sql)
  database.close()
}

describe('a SQLite file', () => {
  it('is created for its owner only, and opens with the parameters that K3s writes into a DSN', async () => {
    const path = newPath()
    const store = await openDatastore(`sqlite://${path}?_journal=WAL&cache=shared&_busy_timeout=30000&_txlock=immediate`)
    await store.create(bytes('a'), bytes('1'))
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600)
    expect((await store.status()).driver).toBe('sqlite')
    await store[Symbol.asyncDispose]()
    expect(readdirSync(directory).filter((name) => name.endsWith('-wal'))).toEqual([])
  })

  it('is refused with Locked while it is open, here or in another process, and free as soon as that is gone', async () => {
    const path = newPath()
    const store = await openDatastore(`sqlite://${path}`)
    await expect(openDatastore(`sqlite://${path}`)).rejects.toMatchObject({
      code: 'Locked',
      message: expect.stringContaining('another process is using it'),
    })
    await store.create(bytes('a'), bytes('1'))
    await store[Symbol.asyncDispose]()
    const other = startWriter(`sqlite://${path}`, 1, `${path}.answers`)
    await other.answered(1)
    await expect(openDatastore(`sqlite://${path}`)).rejects.toMatchObject({ code: 'Locked' })
    await other.kill()
    await using again = await openDatastore(`sqlite://${path}`)
    expect((await again.get(bytes('a'))).item).toBeDefined()
  })

  it("of the original K3s is refused with ForeignSchema and left as it is; so is another program's, and what is no database", async () => {
    const foreign = { code: 'ForeignSchema', hint: expect.any(String) }
    const kine = newPath()
    make(
      kine,
      'pragma journal_mode = wal; create table kine (id integer primary key autoincrement, name text, value blob); insert into kine (name) values (1)',
    )
    await expect(openDatastore(`sqlite://${kine}`)).rejects.toMatchObject({ ...foreign, message: expect.stringContaining('original K3s') })
    const tables = new Database(kine, { readonly: true })
    expect(tables.prepare("select name from sqlite_master where name not like 'sqlite%'").pluck().all()).toEqual(['kine'])
    tables.close()
    const other = newPath()
    make(other, 'create table something (id integer)')
    await expect(openDatastore(`sqlite://${other}`)).rejects.toMatchObject(foreign)
    const text = newPath()
    writeFileSync(text, 'not a database '.repeat(500))
    await expect(openDatastore(`sqlite://${text}`)).rejects.toMatchObject(foreign)
    expect(
      readdirSync(directory).filter((name) => name.endsWith('.lock') && [kine, other, text].includes(join(directory, name.slice(0, -5)))),
    ).toEqual([])
  })

  it('of a newer version is refused with NewerSchema', async () => {
    const path = newPath()
    await (await openDatastore(`sqlite://${path}`))[Symbol.asyncDispose]()
    make(path, 'pragma user_version = 99')
    await expect(openDatastore(`sqlite://${path}`)).rejects.toMatchObject({ code: 'NewerSchema', message: expect.stringContaining('99') })
  })

  it('in a place that does not exist or cannot be written is refused with InvalidDsn', async () => {
    const missing = `sqlite://${join(directory, 'none', 'x.db')}`
    await expect(openDatastore(missing)).rejects.toMatchObject({ code: 'InvalidDsn', message: expect.stringContaining('does not exist') })
    await expect(openDatastore('sqlite:///proc/x.db')).rejects.toMatchObject({
      code: 'InvalidDsn',
      message: expect.stringContaining('cannot be written'),
    })
    mkdirSync(join(directory, 'folder.db'))
    await expect(openDatastore(`sqlite://${join(directory, 'folder.db')}`)).rejects.toMatchObject({ code: 'InvalidDsn' })
  })

  it("is read and written by Node's own SQLite where the addon cannot be loaded", async () => {
    const path = newPath()
    const store = await openDatastore(`sqlite://${path}`)
    const { revision } = await store.create(bytes('a'), bytes('1'))
    await store[Symbol.asyncDispose]()
    const sqliteWorker = { url: workerUrl, nativeBinding: '/nonexistent.node' }
    await using other = await openDatastore(`sqlite://${path}`, { sqliteWorker })
    expect((await other.get(bytes('a'))).item).toMatchObject({ modRevision: revision, value: bytes('1') })
    const { id } = await other.grantLease({ ttlSeconds: 100 })
    await other.update(bytes('a'), bytes('2'), { leaseId: id })
    expect((await other.get(bytes('a'), { revision })).item).toMatchObject({ value: bytes('1'), leaseId: 0n })
    expect((await other.get(bytes('a'))).item).toMatchObject({ value: bytes('2'), leaseId: id })
    await expect(openDatastore(`sqlite://${path}`, { sqliteWorker })).rejects.toMatchObject({ code: 'Locked' })
  })

  it('keeps its write-ahead log small under load, and gives back the space of compacted history', async () => {
    const path = newPath()
    await using store = await openDatastore(`sqlite://${path}`)
    const value = new Uint8Array(20_000)
    let largest = 0
    for (let round = 0; round < 40; round++) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => store.update(bytes(`${index % 50}`), value)))
      largest = Math.max(largest, statSync(`${path}-wal`).size)
    }
    expect(largest).toBeLessThan(48 * 2 ** 20)
    await store.compact(await store.currentRevision())
    const deadline = Date.now() + 20_000
    while (Date.now() < deadline && statSync(path).size > 12 * 2 ** 20) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(statSync(path).size).toBeLessThan(12 * 2 ** 20)
  })
})
