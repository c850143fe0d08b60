import { expect, it } from 'vitest'
import { processTitle } from './process-title.ts'

it.each([
  [['server', '--datastore-endpoint', 'postgres://u:secret@h/d', '--token=secret'], 'node main.js server'],
  [['datastore', 'migrate', 'sqlite:///a', 'postgres://u:secret@h/d'], 'node main.js datastore migrate'],
  [['datastore', 'postgres://u:secret@h/d'], 'node main.js datastore'],
  [['--token=secret'], 'node main.js'],
  [[], 'node main.js'],
])('processTitle() names the command and hides what it was given: %j', (args, title) => {
  expect(processTitle(['node', 'main.js', ...args])).toBe(title)
})
