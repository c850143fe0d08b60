import { lstat, mkdir, mkdtemp, readFile, readdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Pod, Volume } from '@k3s/api/types/core/v1'
import { serviceaccounts } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import { FakeClock } from '@k3s/lifecycle'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { writeAtomically, type Projection } from './atomic-writer.ts'
import { checkHostPath } from './host-path.ts'
import { mountPoints, type Mounter } from './mounter.ts'
import { projectVolume, type ProjectionSources } from './projections.ts'
import { bindSubPath, checkSubPath } from './sub-path.ts'
import { TokenSource } from './token-source.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vol-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

const files = (content: Readonly<Record<string, string>>, mode = 0o644): Projection =>
  new Map(Object.entries(content).map(([path, text]) => [path, { data: Buffer.from(text), mode }]))

describe('writeAtomically()', () => {
  test('shows files through a swapped link and leaves nothing of the old ones', async () => {
    expect(await writeAtomically(dir, files({ a: '1', 'deep/b': '2' }))).toBe(true)
    expect(await readlink(join(dir, 'a'))).toBe('..data/a')
    const first = await readlink(join(dir, '..data'))
    expect(await readFile(join(dir, 'deep/b'), 'utf8')).toBe('2')
    expect(await writeAtomically(dir, files({ a: 'new' }, 0o400))).toBe(true)
    expect(await readFile(join(dir, 'a'), 'utf8')).toBe('new')
    expect((await stat(join(dir, 'a'))).mode & 0o777).toBe(0o400)
    const names = await readdir(dir)
    expect(names).not.toContain(first)
    expect(names.filter((name) => !name.startsWith('..'))).toEqual(['a'])
  })
  test('touches nothing when the content is the same', async () => {
    await writeAtomically(dir, files({ a: '1' }))
    const before = await readlink(join(dir, '..data'))
    expect(await writeAtomically(dir, files({ a: '1' }))).toBe(false)
    expect(await readlink(join(dir, '..data'))).toBe(before)
  })
  test.each(['../x', '/x', 'a/../b', '..x', ''])('refuses the path %j', async (path) => {
    await expect(writeAtomically(dir, files({ [path]: '1' }))).rejects.toThrow('invalid path')
  })
})

describe('bindSubPath()', () => {
  /** Remembers what was bound, by the real path that the open file had. */
  const bound: string[] = []
  const mounter: Mounter = {
    tmpfs: () => Promise.resolve(),
    unmount: () => Promise.resolve(),
    mountsUnder: () => Promise.resolve([]),
    async bind(source) {
      bound.push(await readlink(source))
    },
  }
  test('makes what is missing and binds the open file', async () => {
    await mkdir(join(dir, 'volume'))
    await bindSubPath(join(dir, 'volume'), 'x/y', join(dir, 'target/0'), mounter)
    expect(bound.at(-1)).toBe(join(dir, 'volume/x/y'))
    expect((await lstat(join(dir, 'target/0'))).isDirectory()).toBe(true)
    await writeFile(join(dir, 'volume/file'), 'x')
    await bindSubPath(join(dir, 'volume'), 'file', join(dir, 'target/1'), mounter)
    expect((await lstat(join(dir, 'target/1'))).isFile()).toBe(true)
  })
  test('follows links inside of the volume and refuses those that leave it', async () => {
    await mkdir(join(dir, 'volume/real'), { recursive: true })
    await symlink('real', join(dir, 'volume/inside'))
    await symlink('/etc', join(dir, 'volume/outside'))
    await bindSubPath(join(dir, 'volume'), 'inside', join(dir, 'target'), mounter)
    expect(bound.at(-1)).toBe(join(dir, 'volume/real'))
    await expect(bindSubPath(join(dir, 'volume'), 'outside', join(dir, 't2'), mounter)).rejects.toThrow('not within volume path')
    await expect(bindSubPath(join(dir, 'volume'), 'outside/made', join(dir, 't3'), mounter)).rejects.toThrow('not within volume path')
  })
  test.each(['/abs', '../up', 'a/../../b'])('checkSubPath() refuses %s', (path) => {
    expect(() => checkSubPath(path)).toThrow('must be a relative path without ".."')
  })
})

describe('checkHostPath()', () => {
  test('makes what may be made', async () => {
    await checkHostPath(join(dir, 'a/b'), 'DirectoryOrCreate')
    await checkHostPath(join(dir, 'f'), 'FileOrCreate')
    await checkHostPath(join(dir, 'none'), '')
    expect((await stat(join(dir, 'a/b'))).isDirectory()).toBe(true)
    expect((await stat(join(dir, 'f'))).isFile()).toBe(true)
  })
  test.each(['Directory', 'File', 'Socket', 'CharDevice', 'BlockDevice'])('refuses an absent %s', async (type) => {
    await expect(checkHostPath(join(dir, 'absent'), type)).rejects.toThrow(`hostPath type check failed: ${dir}/absent is not a`)
  })
})

const pod: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { a: 'b' } },
  spec: { containers: [{ name: 'c', securityContext: { runAsUser: 5 } }], serviceAccountName: 'sa' },
}

describe('projectVolume()', () => {
  const sources: ProjectionSources = {
    getConfigMap: (_namespace, name) =>
      Promise.resolve(
        name === 'cm' ? { metadata: { name }, data: { a: '1' }, binaryData: { b: Buffer.from([0, 255]).toString('base64') } } : undefined,
      ),
    getSecret: (_namespace, name) =>
      Promise.resolve(name === 's' ? { metadata: { name }, data: { pw: Buffer.from('x').toString('base64') } } : undefined),
    getToken: () => Promise.resolve('token'),
    addresses: { hostIps: [], podIps: [] },
    allocatable: {},
  }
  const project = async (volume: Omit<Volume, 'name'>): Promise<object> =>
    Object.fromEntries(
      [...((await projectVolume(pod, { name: 'v', ...volume }, sources)) ?? [])].map(([path, { data, mode, uid }]) => [
        path,
        [Buffer.from(data).toString('latin1'), mode.toString(8), uid],
      ]),
    )
  test.each<[string, Omit<Volume, 'name'>, object]>([
    ['a config map', { configMap: { name: 'cm' } }, { a: ['1', '644', undefined], b: ['\u0000ÿ', '644', undefined] }],
    [
      'chosen keys',
      { configMap: { name: 'cm', defaultMode: 0o600, items: [{ key: 'a', path: 'x/y', mode: 0o400 }] } },
      { 'x/y': ['1', '400', undefined] },
    ],
    ['an absent optional secret', { secret: { secretName: 'none', optional: true } }, {}],
    ['labels', { downwardAPI: { items: [{ path: 'l', fieldRef: { fieldPath: 'metadata.labels' } }] } }, { l: ['a="b"', '644', undefined] }],
    [
      'several at once, the token for its only reader',
      {
        projected: { sources: [{ secret: { name: 's' } }, { serviceAccountToken: { path: 't' } }, { clusterTrustBundle: { path: 'c' } }] },
      },
      { pw: ['x', '644', undefined], t: ['token', '600', 5] },
    ],
  ])('%s', async (_title, volume, expected) => {
    expect(await project(volume)).toEqual(expected)
  })
  test.each<[Omit<Volume, 'name'>, string]>([
    [{ configMap: { name: 'none' } }, 'configmap "none" not found'],
    [{ secret: { secretName: 'none' } }, 'secret "none" not found'],
    [{ configMap: { name: 'cm', items: [{ key: 'z', path: 'z' }] } }, 'configmap references non-existent config key: z'],
    [{ secret: { secretName: 's', items: [{ key: 'z', path: 'z' }] } }, 'secret references non-existent secret key: z'],
  ])('%j is refused', async (volume, message) => {
    await expect(project(volume)).rejects.toThrow(message)
  })
})

test('TokenSource renews a token after four fifths of its life, and keeps it while the server cannot be asked', async () => {
  const clock = new FakeClock(0)
  let count = 0
  let isDown = false
  const asked: unknown[] = []
  const client = {
    resource: (type: unknown) => ({
      createSubresource: (name: string, subresource: string, body: unknown) => {
        if (isDown) return Promise.reject(new Error('down'))
        asked.push([type === serviceaccounts, name, subresource, body])
        return Promise.resolve({ status: { token: `t${++count}`, expirationTimestamp: new Date(clock.now() + 1_000_000).toISOString() } })
      },
    }),
  } as unknown as Client // the one call that is made
  const tokens = new TokenSource(client, clock)
  const get = (): Promise<string> => tokens.get(pod, 'aud', 1000)
  expect([await get(), await get()]).toEqual(['t1', 't1'])
  expect(asked[0]).toMatchObject([
    true,
    'sa',
    'token',
    { spec: { audiences: ['aud'], expirationSeconds: 1000, boundObjectRef: { name: 'p', uid: 'u' } } },
  ])
  await clock.advance(801_000)
  isDown = true
  expect(await get()).toBe('t1')
  isDown = false
  expect(await get()).toBe('t2')
  isDown = true
  await clock.advance(2_000_000)
  await expect(get()).rejects.toThrow('failed to fetch token for pod "ns/p": down')
})

test('mountPoints() reads escaped names', () => {
  expect(mountPoints('1 2 0:1 / /a\\040b rw - tmpfs tmpfs rw\n2 2 0:1 / /c rw - tmpfs tmpfs rw\n')).toEqual(['/a b', '/c'])
})
