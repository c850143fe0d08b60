import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cacheFolder, kubernetesRelease } from '../src/kubernetes-module.ts'
import { NoProgramError } from '../src/programs.ts'
import { existingCluster, startCluster } from './cluster.ts'
import { findSuite, type Programs } from './programs.ts'
import { sectionOf, withSection } from './report.ts'
import { runTests, type Outcome } from './run.ts'
import { differencesOf, namesOf, readTests, tiers, tiersWithoutNodes, updateTests, type ConformanceTest } from './tests.ts'

const usage = `pnpm conformance [--tier A] [--focus REGEX] [--list FILE] [--datastore DSN | --kubeconfig FILE]
  Runs Kubernetes' conformance tests against a server that it starts, or against the cluster of --kubeconfig.

  --tier LETTERS     tests of these tiers, such as A or AC (default A):
${Object.entries(tiers)
  .map(([letter, text]) => `                       ${letter}  ${text}`)
  .join('\n')}
  --focus REGEX      only tests whose name matches; docs/conformance.md stays as it is
  --list FILE        only tests named in the file, one a line; as above
  --datastore DSN    datastore of the server (default: SQLite in a temporary folder)
  --kubeconfig FILE  a cluster that runs already
  --programs FOLDER  has e2e.test, ginkgo and kubectl of ${kubernetesRelease} (default: built once into the user's cache)
  --output FOLDER    gets the suite's report and output
  --processes N      tests that run at once (default 2)
  --timeout MINUTES  of all tests (default 60)
  --update-list      brings tests.tsv to the suite's names instead
`

const { values } = parseArgs({
  options: {
    tier: { type: 'string' },
    focus: { type: 'string' },
    list: { type: 'string' },
    datastore: { type: 'string' },
    kubeconfig: { type: 'string' },
    programs: { type: 'string' },
    output: { type: 'string', default: join(cacheFolder('k3s-conformance'), 'last') },
    processes: { type: 'string', default: '2' },
    timeout: { type: 'string', default: '60' },
    'update-list': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const isWhole = values.focus === undefined && values.list === undefined
/** Tiers that are asked for; undefined: all. */
const asked = values.tier ?? (isWhole ? 'A' : undefined)

// So that the server that was started ends, too.
const interrupted = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(new Error(`Interrupted by ${name}`)))

async function choose(): Promise<readonly ConformanceTest[]> {
  const focus = values.focus === undefined ? undefined : new RegExp(values.focus)
  const listed = values.list === undefined ? undefined : new Set((await readFile(values.list, 'utf8')).split('\n'))
  return (await readTests()).filter(
    ({ tier, name }) => (asked?.includes(tier) ?? true) && (focus?.test(name) ?? true) && (listed?.has(name) ?? true),
  )
}

async function checkList(programs: Programs): Promise<void> {
  const tests = await readTests()
  const { added, gone } = differencesOf(tests, await namesOf(programs.suite))
  if (added.length + gone.length === 0) return
  throw new Error(
    [
      'tests.tsv is not the list of the suite; --update-list mends it',
      ...added.map((name) => `+ ${name}`),
      ...gone.map((name) => `- ${name}`),
    ].join('\n'),
  )
}

async function run(programs: Programs, tests: readonly ConformanceTest[]): Promise<readonly Outcome[]> {
  const hasNode = tests.some(({ tier }) => !tiersWithoutNodes.includes(tier))
  await using cluster =
    values.kubeconfig === undefined ? await startCluster({ hasNode, datastore: values.datastore }) : existingCluster(values.kubeconfig)
  console.log(`Running ${tests.length} tests; see ${values.output}/output.txt`)
  return await runTests(programs, tests, {
    kubeconfig: cluster.kubeconfig,
    processes: Number(values.processes),
    timeoutMinutes: Number(values.timeout),
    folder: values.output,
    allowedNotReadyNodes: hasNode ? 0 : -1,
    signal: interrupted.signal,
  })
}

async function record(outcomes: readonly Outcome[], minutes: number): Promise<void> {
  const file = join(import.meta.dirname, '../../docs/conformance.md')
  const store = values.kubeconfig === undefined ? (values.datastore?.split(':')[0] ?? 'sqlite') : 'a running cluster'
  const facts = `Kubernetes ${kubernetesRelease}'s suite, ${outcomes.length} tests in ${minutes.toFixed(0)} minutes.`
  for (const letter of asked ?? '') {
    const mine = outcomes.filter(({ test }) => test.tier === letter)
    const title = `Tier ${letter} (${tiers[letter] ?? ''}) on ${store}`
    if (mine.length > 0) await writeFile(file, withSection(await readFile(file, 'utf8').catch(() => ''), title, sectionOf(mine, facts)))
  }
}

async function main(): Promise<number> {
  if (values.help) {
    console.log(usage)
    return 0
  }
  const tests = await choose()
  if (tests.length === 0) throw new Error('No test is chosen; see --help')
  let programs: Programs
  try {
    programs = await findSuite(values.programs)
  } catch (error) {
    if (!(error instanceof NoProgramError)) throw error
    console.error(`NOT RUN: ${tests.length} conformance tests of Kubernetes ${kubernetesRelease}, because ${error.message}`)
    for (const [capability, of] of Map.groupBy(tests, ({ capability }) => capability)) console.error(`  ${of.length} of ${capability}`)
    return 2
  }
  if (values['update-list']) {
    await updateTests(await readTests(), await namesOf(programs.suite))
    return 0
  }
  await checkList(programs)
  const began = performance.now()
  const outcomes = await run(programs, tests)
  const facts = `${tests.length} tests in ${((performance.now() - began) / 60_000).toFixed(1)} minutes`
  console.log(sectionOf(outcomes, facts))
  if (isWhole) await record(outcomes, (performance.now() - began) / 60_000)
  return outcomes.every(({ state }) => state === 'passed') ? 0 : 1
}

// The code is what callers go by; programs that would not end are not waited for.
process.exit(
  await main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    return 1
  }),
)
