import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryBackend } from '../../src/drivers/memory.ts'
import { openSqlite } from '../../src/drivers/sqlite.ts'
import type { Backend, LogPosition } from '../../src/engine/backend.ts'
import { turns } from './random.ts'
import type { Disk } from './simulated-server.ts'

/** Goes over what is opened from a disk. */
export type Overlay = (backend: Backend) => Backend

const plain: Overlay = (backend) => backend

/** A log in memory, for one server at a time. */
export function memoryDisk(overlay: Overlay = plain): Disk {
  const stored = new MemoryBackend()
  return { open: async () => overlay(withPosition(stored)), async [Symbol.asyncDispose]() {} }
}

/** A log in memory that several servers append to. */
export function sharedDisk(overlay: Overlay = plain): Disk {
  const stored = new MemoryBackend()
  return {
    open: async () => overlay({ ...withPosition(stored), shared: sharedLog(stored) }),
    async [Symbol.asyncDispose]() {},
  }
}

/** A SQLite file. */
export function sqliteDisk(overlay: Overlay = plain): Disk {
  const directory = mkdtempSync(join(tmpdir(), 'datastore-faults-'))
  return {
    open: async () => overlay(await openSqlite({ path: join(directory, 'store.db') })),
    async [Symbol.asyncDispose]() {
      rmSync(directory, { recursive: true })
    },
  }
}

/** The methods of a backend as an object of its own, whose position is that of now. */
export function withPosition(stored: Backend): Backend {
  return {
    driver: stored.driver,
    opened: stored.opened,
    commit: (batch) => stored.commit(batch),
    list: (request) => stored.list(request),
    readLog: (request) => stored.readLog(request),
    compactSlice: () => stored.compactSlice(),
    status: () => stored.status(),
    findLease: (id) => stored.findLease(id),
    listLeases: () => stored.listLeases(),
    dueLeases: (nowMs, limit) => stored.dueLeases(nowMs, limit),
    beginRestore: () => stored.beginRestore(),
    restoreItems: (items) => stored.restoreItems(items),
    finishRestore: (end) => stored.finishRestore(end),
    [Symbol.asyncDispose]: () => stored[Symbol.asyncDispose](),
    ...(stored.shared === undefined ? {} : { shared: stored.shared }),
  }
}

function sharedLog(stored: Backend): NonNullable<Backend['shared']> {
  const readPosition = async (): Promise<LogPosition> => stored.status()
  return {
    readPosition,
    async follow(onPosition, signal) {
      while (!signal.aborted) {
        onPosition(await readPosition())
        await turns(3)
      }
    },
  }
}
