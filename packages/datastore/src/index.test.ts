import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('the public surface is what was decided', async () => {
  expect(Object.keys(await import('@k3s/datastore')).toSorted()).toMatchInlineSnapshot(`
    [
      "DatastoreError",
      "compactDatastore",
      "compare",
      "isDatastoreError",
      "migrate",
      "openDatastore",
      "openRestored",
      "prefixRange",
      "readStatus",
      "restore",
      "snapshot",
      "verify",
      "verifySnapshot",
    ]
  `)
})

it('every test that SPEC.md names exists', () => {
  const root = join(import.meta.dirname, '..')
  const sources = ['src', 'test']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(root, folder, name)))
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n')
  const rows = readFileSync(join(root, 'SPEC.md'), 'utf8')
    .split('\n')
    .filter((line) => /^\| [A-Z]\d+ /.test(line))
  expect(rows.length).toBeGreaterThan(20)
  for (const row of rows) {
    const tests = [...(row.split('|')[3] ?? '').matchAll(/`([^`]+)`/g)].map(([, test]) => test ?? '')
    expect(tests, row).not.toHaveLength(0)
    for (const test of tests) expect(sources, row).toContain(test)
  }
})
