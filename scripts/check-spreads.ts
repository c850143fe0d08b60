/** Finds lists that are passed as arguments of a call (`list.push(...more)`, `Math.max(...numbers)`): beyond some hundred thousand items that throws a RangeError. `append`, `leastOf` and `greatestOf` of @k3s/lifecycle take any number. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const call = /(?:\.(?:push|unshift|splice)|\bMath\.(?:min|max)|\.from(?:CharCode|CodePoint))\((?=[^()[{]*\.\.\.)/g

const problems: string[] = []
for (const file of globSync(['packages/*/src/**/*.ts', 'apps/*/src/**/*.ts'], { cwd: root })) {
  if (/\.test\.ts$|\/generated\/|\/conformance\//.test(file)) continue
  const lines = readFileSync(join(root, file), 'utf8').split('\n')
  for (const [index, line] of lines.entries()) {
    if (/^\s*(?:\*|\/\/)/.test(line)) continue
    if (line.matchAll(call).next().done !== true) problems.push(`${file}:${index + 1}: ${line.trim()}`)
  }
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
