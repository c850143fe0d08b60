import type { Finding } from './findings.ts'

const maxText = 1200

const show = (value: unknown): string => {
  const text = value === undefined ? '(absent)' : JSON.stringify(value)
  return text.length > maxText ? `${text.slice(0, maxText)}…` : text
}

/** The findings as text: what was asked, and each place with what the original says (`-`) and what we say (`+`). */
export function report(findings: readonly Finding[], requests: number): string {
  const open = findings.filter(({ exception }) => exception === undefined)
  const blocks = open.map(({ one, step, differences }) =>
    [
      `${one.name} / ${step.name}: ${step.method} ${step.path}`,
      ...differences
        .slice(0, 12)
        .flatMap(({ path, expected, actual }) => [`  ${path}`, `    - ${show(expected)}`, `    + ${show(actual)}`]),
      ...(differences.length > 12 ? [`  and ${differences.length - 12} more places`] : []),
    ].join('\n'),
  )
  const counts = new Map<string, number>()
  for (const { exception } of findings) if (exception !== undefined) counts.set(exception.name, (counts.get(exception.name) ?? 0) + 1)
  const equal = requests - findings.length
  return [
    ...blocks,
    ...[...counts].map(([name, count]) => `excepted ${count} times: ${name}`),
    `${requests} requests: ${equal} equal, ${findings.length - open.length} excepted, ${open.length} different`,
  ].join('\n')
}
