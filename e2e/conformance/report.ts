import type { Outcome } from './run.ts'

const head = `# Conformance

Kubernetes' own conformance tests against this program, as \`pnpm conformance\` ran them last (e2e/conformance). A tier is what a test needs at least;
e2e/conformance/tests.tsv has the tier and the capability of each.
`

/** Puts a section into the document, in place of the one that has its title; sections are in order of their titles. */
export function withSection(document: string, title: string, body: string): string {
  const [, ...present] = document.split(/^## /m)
  const sections = new Map(present.map((text) => [text.slice(0, text.indexOf('\n')), `${text.slice(text.indexOf('\n')).trim()}\n`]))
  sections.set(title, `${body.trim()}\n`)
  const ordered = [...sections].toSorted(([a], [b]) => (a < b ? -1 : 1))
  return [head, ...ordered.map(([name, text]) => `## ${name}\n\n${text}`)].join('\n')
}

/** What is told about a run: a table by capability, and why tests failed. */
export function sectionOf(outcomes: readonly Outcome[], facts: string): string {
  const count = (state: Outcome['state'], of: readonly Outcome[] = outcomes): number =>
    of.filter((outcome) => outcome.state === state).length
  const capabilities = Map.groupBy(outcomes, ({ test }) => test.capability)
  const rows = [...capabilities]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([capability, of]) => `| ${capability} | ${count('passed', of)} | ${count('failed', of)} | ${count('not run', of)} |`)
  const failed = outcomes.filter(({ state }) => state === 'failed')
  return [
    facts,
    '',
    '| Capability | Passed | Failed | Not run |',
    '| --- | --- | --- | --- |',
    ...rows,
    `| **All** | **${count('passed')}** | **${count('failed')}** | **${count('not run')}** |`,
    ...(failed.length === 0 ? [] : ['', 'Failed:', '']),
    ...failed.map(({ test, message }) => `- ${test.name}: ${firstLine(message)}`),
  ].join('\n')
}

function firstLine(message: string): string {
  const line = message.trim().split('\n')[0] ?? ''
  return line.length > 200 ? `${line.slice(0, 200)}…` : line
}
