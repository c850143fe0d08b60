import { setTimeout as sleep } from 'node:timers/promises'
import type { Area, Case, Step } from './case.ts'
import { contentTypeOf } from './case.ts'
import { Client, type RawAnswer, type Target } from './client.ts'
import { Normaliser, type Answer } from './normalise.ts'

/** Answers by case, in the order of its steps. */
export type Answers = ReadonlyMap<string, readonly Answer[]>

// Watches wait for their end: others go on meanwhile.
const casesAtOnce = 6

/** A word of six letters that no run before had. */
export const newRun = (): string => `r${(Date.now() % 36 ** 5).toString(36).padStart(5, '0')}`

/** Runs areas one after the other, and some cases of each at once. `run` is a lower-case word of six letters that no run on this server had before. */
export async function runAreas(areas: readonly Area[], target: Target, run: string): Promise<Answers> {
  using client = new Client(target)
  const answers = new Map<string, readonly Answer[]>()
  for (const { cases } of areas) {
    const left = [...cases]
    const work = async (): Promise<void> => {
      for (let one = left.shift(); one !== undefined; one = left.shift()) answers.set(one.name, await runCase(client, one, run))
    }
    await Promise.all(Array.from({ length: casesAtOnce }, work))
  }
  return answers
}

async function runCase(client: Client, { name, steps }: Case, run: string): Promise<Answer[]> {
  const normaliser = new Normaliser(run)
  const namespace = `${run}-${name}`
  if (JSON.stringify(steps).includes('$ns')) await prepareNamespace(client, namespace)
  const seen = new Map<string, unknown>()
  const answers: Answer[] = []
  for (const step of steps) {
    const filled = (text: string): string => fill(text, { run, namespace, seen })
    const raw = step.isAwaited === true ? await awaited(() => ask(client, step, filled)) : await ask(client, step, filled)
    seen.set(step.name, parsed(raw))
    answers.push(normaliser.answer(raw, step.name, generateNameOf(step).replaceAll('$run', run).replaceAll('$ns', namespace)))
  }
  return answers
}

async function prepareNamespace(client: Client, name: string): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  for (const [path, object] of [
    ['/api/v1/namespaces', { metadata: { name } }],
    [`/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: 'default' } }],
  ] as const) {
    const { status, text } = await client.ask({ method: 'POST', path, headers, body: JSON.stringify(object) })
    if (status !== 201) throw new Error(`Cannot prepare namespace ${name}: ${text}`)
  }
}

const patienceMs = 10_000

/** What is defined is served a moment later. */
async function awaited(askOnce: () => Promise<RawAnswer>): Promise<RawAnswer> {
  for (const deadline = performance.now() + patienceMs; ; await sleep(100)) {
    const answer = await askOnce()
    if (answer.status < 400 || performance.now() > deadline) return answer
  }
}

function ask(client: Client, step: Step, filled: (text: string) => string): Promise<RawAnswer> {
  const contentType = contentTypeOf(step)
  const body = step.raw ?? (step.body === undefined ? undefined : JSON.stringify(step.body))
  // Impersonated on both sides: how a server authenticates shows in what it stores.
  const as = step.as ?? { user: 'admin', groups: ['system:masters'] }
  return client.ask({
    method: step.method,
    path: filled(step.path),
    headers: {
      ...(contentType === undefined ? {} : { 'content-type': contentType }),
      'impersonate-user': filled(as.user),
      ...(as.groups === undefined ? {} : { 'impersonate-group': as.groups }),
      ...Object.fromEntries(Object.entries(step.headers ?? {}).map(([name, value]) => [name.toLowerCase(), filled(value)])),
    },
    body: body === undefined ? undefined : filled(body),
    lines: step.events,
  })
}

function generateNameOf({ body }: Step): string {
  const { metadata } = (body ?? {}) as { readonly metadata?: { readonly generateName?: unknown } } // what is no object has none
  return typeof metadata?.generateName === 'string' ? metadata.generateName : ''
}

function parsed({ text }: RawAnswer): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

interface Context {
  readonly run: string
  readonly namespace: string
  readonly seen: ReadonlyMap<string, unknown>
}

/** `$(step:*)` stands for the whole answer where a string would stand. */
function fill(text: string, { run, namespace, seen }: Context): string {
  return text
    .replaceAll('$ns', namespace)
    .replaceAll('$run', run)
    .replaceAll(/"\$\(([^:$()]+):\*\)"/g, (_, step: string) => JSON.stringify(seen.get(step)))
    .replaceAll(/\$\(([^:$()]+):([^)]+)\)/g, (_, step: string, path: string) => {
      let value = seen.get(step)
      for (const key of path.split('.')) value = (value as Readonly<Record<string, unknown>> | undefined)?.[key]
      return typeof value === 'string' ? value : JSON.stringify(value ?? null)
    })
}
