import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** A test of Kubernetes' suite. */
export interface ConformanceTest {
  /** What it needs at least: one of {@link tiers}. */
  readonly tier: string
  /** What it is about. */
  readonly capability: string
  readonly name: string
}

/** What the letters mean. */
export const tiers: Readonly<Record<string, string>> = {
  A: 'API server',
  C: 'API server and controllers',
  S: 'and scheduler, with Ready nodes',
  H: 'and pods that report to be Ready',
  K: 'and containers on a node',
  D: 'and cluster DNS',
  W: 'and webhooks behind a Service',
  2: 'two nodes',
}

/** Tiers that need no node: an object that says Ready is enough. */
export const tiersWithoutNodes: readonly string[] = ['A', 'C']

const file = join(import.meta.dirname, 'tests.tsv')
const head = 'tier\tcapability\tname'

/** Reads the list of tests. */
export async function readTests(): Promise<readonly ConformanceTest[]> {
  const [first, ...lines] = (await readFile(file, 'utf8')).trimEnd().split('\n')
  if (first !== head) throw new Error(`${file} does not begin with its columns`)
  return lines.map((line) => {
    const [tier = '', capability = '', name = ''] = line.split('\t')
    return { tier, capability, name }
  })
}

/** Names of all conformance tests that a suite has. */
export async function namesOf(suite: string): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)(suite, ['--list-conformance-tests'], { maxBuffer: 2 ** 24 })
  // YAML of one shape: a long name goes on in indented lines.
  return [...stdout.matchAll(/^ {2}codename: ('?)([^\n]*(?:\n {4}[^\n]*)*)/gm)].map(([, quote, text = '']) => {
    const name = text.replaceAll(/\n +/g, ' ').trim()
    return quote === '' ? name : name.slice(0, -1).replaceAll("''", "'")
  })
}

/** What differs between the list and a suite. */
export function differencesOf(
  tests: readonly ConformanceTest[],
  names: readonly string[],
): { readonly added: readonly string[]; readonly gone: readonly string[] } {
  const known = new Set(tests.map(({ name }) => name))
  const present = new Set(names)
  return { added: names.filter((name) => !known.has(name)), gone: [...known].filter((name) => !present.has(name)) }
}

/** Brings the list to a suite's names. What is new gets the tier and capability `?`, for a person to fill in. */
export async function updateTests(tests: readonly ConformanceTest[], names: readonly string[]): Promise<void> {
  const known = new Map(tests.map((test) => [test.name, test]))
  const lines = [...names]
    .map((name) => known.get(name) ?? { tier: '?', capability: '?', name })
    .toSorted((a, b) => (a.capability === b.capability ? (a.name < b.name ? -1 : 1) : a.capability < b.capability ? -1 : 1))
    .map(({ tier, capability, name }) => `${tier}\t${capability}\t${name}`)
  await writeFile(file, `${[head, ...lines].join('\n')}\n`)
}
