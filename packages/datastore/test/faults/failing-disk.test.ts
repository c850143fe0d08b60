import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatastore, prefixRange } from '@k3s/datastore'
import { expect, it } from 'vitest'

const writes = 30

interface Step {
  /** The revision, or the error's code. */
  readonly written: number | string
  readonly read: number | string
}

/** `strace` counts the calls of each thread for itself; the writer makes those that bring a commit to disk. */
const cases: readonly {
  readonly name: string
  readonly faults: readonly string[]
  readonly isLasting?: boolean
  readonly isOfFiles?: boolean
}[] = [
  { name: 'one fsync', faults: ['fsync,fdatasync:error=EIO:when=12'] },
  { name: 'an fsync and the checkpoint after it', faults: ['fsync,fdatasync:error=EIO:when=12..14'] },
  { name: 'every fsync from then on', faults: ['fsync,fdatasync:error=EIO:when=12+'], isLasting: true },
  { name: 'an fsync for want of space', faults: ['fsync,fdatasync:error=ENOSPC:when=12'] },
  { name: 'one write', faults: ['pwrite64:error=EIO:when=60'] },
  { name: 'some writes', faults: ['pwrite64:error=EIO:when=60..70'] },
  {
    name: 'an fsync, and the file cannot be opened again for a while',
    faults: ['fsync,fdatasync:error=EIO:when=6', 'openat:error=EIO:when=4..9'],
    isOfFiles: true,
  },
]

it.each(cases)(
  'SQLite: the disk fails $name: nothing answered is lost, the process lives (needs strace)',
  async ({ faults, isLasting = false, isOfFiles = false }) => {
    const directory = mkdtempSync(join(tmpdir(), 'datastore-eio-'))
    try {
      const [path, trace] = [join(directory, 'x.db'), join(directory, 'trace')]
      const program = [
        process.execPath,
        '--conditions=@k3s/source',
        join(import.meta.dirname, 'failing-disk-writer.ts'),
        `sqlite://${path}`,
        `${writes}`,
      ]
      const injections = faults.flatMap((fault) => ['-e', `inject=${fault}`])
      // Only the calls for the database are counted then.
      const files = isOfFiles ? ['-P', path, '-P', `${path}-wal`] : []
      const calls = [...files, '-e', 'trace=fsync,fdatasync,pwrite64,openat']
      const { status, stdout, stderr } = spawnSync('strace', ['-f', '-o', trace, ...calls, ...injections, ...program], { encoding: 'utf8' })
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      expect(readFileSync(trace, 'utf8')).toContain('(INJECTED)')
      const steps = stdout
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => JSON.parse(line) as Step)
      expect(steps).toHaveLength(writes)
      expect(steps.filter(({ written }) => typeof written === 'string').map(({ written }) => written)).toContain('Unavailable')
      const refused = new Set(steps.flatMap(({ written }) => (typeof written === 'string' ? [written] : [])))
      expect([...refused].filter((code) => code !== 'Unavailable' && code !== 'NoSpace')).toEqual([])
      // What each key may hold: what was answered last, or what was refused since.
      const possible = new Map<string, Set<number>>()
      let newest = 1
      steps.forEach(({ written, read }, index) => {
        const [write, key] = [index + 1, `${(index + 1) % 3}`]
        const before = possible.get(key) ?? new Set([0])
        if (typeof written === 'number') {
          expect(written).toBeGreaterThan(newest)
          newest = written
          possible.set(key, new Set([write]))
        } else possible.set(key, before.add(write))
        expect(possible.get(key)).toContain(read)
      })
      if (isLasting) expect(steps.at(-1)?.written).toBe('Unavailable')
      else expect(steps.at(-1)?.written).toBe(newest)
      await using store = await openDatastore(`sqlite://${path}`)
      const { items, revision } = await store.list(prefixRange(Buffer.from('')))
      expect(revision).toBeGreaterThanOrEqual(newest)
      for (const [key, values] of possible) {
        const item = items.find((candidate) => Buffer.from(candidate.key).toString() === key)
        expect(values).toContain(item === undefined ? 0 : Number(Buffer.from(item.value).toString()))
      }
    } finally {
      rmSync(directory, { recursive: true })
    }
  },
)
