import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { apiServerArguments } from './table.ts'

it('every argument stands in the documentation, with its default and its help', () => {
  const text = readFileSync(new URL('../../../../../docs/kube-apiserver-args.md', import.meta.url), 'utf8')
  const rows = text.split('\n').filter((line) => line.startsWith('| `'))
  expect(rows.map((row) => row.split('|').map((cell) => cell.trim()))).toEqual(
    apiServerArguments.map((one) => [
      '',
      `\`${one.name}\``,
      expect.any(String),
      'default' in one ? `\`${one.default}\`` : '',
      one.help,
      '',
    ]),
  )
})
