/**
 * Packs every publishable package, checks the tarball's manifest and types as a consumer would meet them, and installs it alone: with nothing but what it
 * depends on, each is imported by plain Node; the datastore works with the one driver that is there and names what another needs.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Manifest {
  readonly name: string
  readonly exports: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional: boolean }>>
}

/** What a consumer runs beside importing the package, and what else it has installed for that. */
const trials: Readonly<Record<string, { readonly install: readonly string[]; readonly code: string }>> = {
  '@k3s/datastore': {
    install: ['better-sqlite3'],
    code: `
      import assert from 'node:assert/strict'
      import { openDatastore } from '@k3s/datastore'
      const key = Buffer.from('a')
      for (const dsn of ['memory:', 'sqlite://trial.db']) {
        await using store = await openDatastore(dsn)
        const { revision } = await store.create(key, Buffer.from('1'))
        assert.equal((await store.get(key)).item?.modRevision, revision)
      }
      for (const [dsn, peer] of [['postgres://h/db', 'pg'], ['mysql://tcp(h:1)/db', 'mysql2'], ['http://h:1', '@grpc/grpc-js']])
        await assert.rejects(openDatastore(dsn), (error) => error.code === 'InvalidDsn' && error.hint.includes(peer))
    `,
  },
}

const root = join(import.meta.dirname, '..')
const temporary = mkdtempSync(join(tmpdir(), 'k3s-pack-'))
const folders = readdirSync(join(root, 'packages'))
const tarballOf = (name: string): string => join(temporary, `${name}.tgz`)
let failed = false

function run(command: string, args: readonly string[], cwd: string): boolean {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', timeout: 300_000 })
  if (status === 0) return true
  console.error(`${command} ${args.join(' ')} (in ${cwd})\n${stdout ?? ''}${stderr ?? ''}${error?.message ?? ''}`)
  failed = true
  return false
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(root, 'packages', folder, 'package.json'), 'utf8')) as Manifest // ours
}

const manifests = new Map(folders.map((folder) => [folder, manifestOf(folder)]))

/** The folders of this workspace that a package needs, its own first. */
function closureOf(folder: string, found = new Set<string>()): ReadonlySet<string> {
  if (found.has(folder)) return found
  found.add(folder)
  const dependencies = manifests.get(folder)?.dependencies ?? {}
  for (const [other, { name }] of manifests) if (name in dependencies) closureOf(other, found)
  return found
}

function installAlone(folder: string): void {
  const manifest = manifests.get(folder)
  if (manifest === undefined) return
  const consumer = join(temporary, `consumer-${folder}`)
  mkdirSync(consumer)
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  const trial = trials[manifest.name]
  const tarballs = [...closureOf(folder)].map(tarballOf)
  const extra = (trial?.install ?? []).map((name) => `${name}@${catalogVersion(name)}`)
  if (!run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', ...tarballs, ...extra], consumer)) return
  writeFileSync(join(consumer, 'import.js'), `await import('${manifest.name}')\n`)
  run(process.execPath, ['import.js'], consumer)
  if (trial === undefined) return
  writeFileSync(join(consumer, 'trial.js'), trial.code)
  run(process.execPath, ['trial.js'], consumer)
}

function catalogVersion(name: string): string {
  const [, version = 'latest'] =
    new RegExp(`^  '?${name}'?: (\\S+)$`, 'm').exec(readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8')) ?? []
  return version
}

try {
  for (const folder of folders) {
    const tarball = tarballOf(folder)
    if (!run('pnpm', ['pack', '--out', tarball], join(root, 'packages', folder))) continue
    run('publint', ['run', tarball, '--strict'], root)
    run('attw', [tarball, '--profile', 'esm-only', '--format', 'ascii', '--quiet'], root)
  }
  for (const folder of folders) installAlone(folder)
} finally {
  rmSync(temporary, { recursive: true })
}
process.exitCode = failed ? 1 : 0
