import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findBinary, parseContainerdVersion } from './binaries.ts'

test.each([
  ['containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3', 1, 6, '1.6.20~ds1'],
  ['containerd github.com/containerd/containerd v1.7.2 0cae528dd6cb557f7201036e9f43420650207b58', 1, 7, '1.7.2'],
  ['containerd github.com/containerd/containerd/v2 v2.2.9 abc', 2, 2, '2.2.9'],
  ['containerd github.com/k3s-io/containerd v2.1.4-k3s1 abc', 2, 1, '2.1.4-k3s1'],
])('%s', (output, major, minor, text) => {
  expect(parseContainerdVersion(output)).toEqual({ major, minor, text })
})

test('versions that are too old or no versions are refused', () => {
  expect(() => parseContainerdVersion('containerd github.com/containerd/containerd v1.5.9 abc')).toThrow('1.5.9 is too old')
  expect(() => parseContainerdVersion('hello')).toThrow('Cannot read the version')
})

test('the first directory that has a program wins; what cannot be executed does not count', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'binaries-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  await writeFile(join(directory, 'runc'), '', { mode: 0o644 })
  await writeFile(join(directory, 'ctr'), '', { mode: 0o755 })
  expect(await findBinary('ctr', ['/nowhere', directory])).toBe(join(directory, 'ctr'))
  await expect(findBinary('runc', [directory])).rejects.toThrow(
    `Cannot find program "runc" in ${directory}: install the package "runc" (apt-get install runc)`,
  )
  await expect(findBinary('other', [directory])).rejects.toThrow(/in [^:]*$/)
})
