/** The load that a server is measured under. Times are in milliseconds. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ApiClient, type Address, type Reply } from './api-client.ts'

export const workloads = ['create', 'get', 'update', 'patch', 'list', 'list-page', 'list-selector', 'watch', 'delete'] as const
export type Workload = (typeof workloads)[number]

export interface LoadResult {
  readonly workload: Workload
  /** Requests; of `watch` the events that watchers got. */
  readonly ops: number
  readonly seconds: number
  /** Of `watch` the time from the sending of a write to its event. */
  readonly p50: number
  readonly p99: number
  readonly errors: number
  /** Processor time of the server for one of `ops`, in microseconds. */
  readonly cpuMicros: number
}

export interface LoadOptions {
  readonly address: Address
  /** Processor time that the server has taken, in milliseconds. */
  readonly cpuMs: () => number
  readonly clients: number
  /** Of each workload. */
  readonly seconds: number
  /** Requests of each workload, at most; of lists and watched writes a part of that. Absent: as many as there is time for. */
  readonly operations?: number | undefined
  /** How many objects the lists hold. */
  readonly objects: number
  readonly watchers: number
  readonly valueBytes: number
}

const maps = '/api/v1/namespaces/default/configmaps'
// Created and deleted ones are not among those that are listed: who creates faster would have the longer lists.
const madeMaps = '/api/v1/namespaces/kube-public/configmaps'
// Full lists at once: more would only measure the memory of the machine.
const fullLists = 4
// Of the operations of the others, when those are bounded.
const [partOfLists, partOfWatched] = [1 / 250, 1 / 10]
// Watched objects are written by so many: the servers are to be busy with events.
const writers = 4

export async function runLoad(options: LoadOptions, onResult: (result: LoadResult) => void): Promise<void> {
  const clients = Array.from({ length: options.clients }, () => new ApiClient(options.address))
  try {
    const names = Array.from({ length: options.objects }, (_, at) => `object-${String(at).padStart(6, '0')}`)
    await fill(clients, names, options)
    let created = 0
    const made: string[] = []
    const pick = (): string => names[Math.floor(Math.random() * names.length)] ?? ''
    const patchBody = (): string => JSON.stringify({ data: { patched: String(Math.random()) } })
    const steps: Readonly<Record<Exclude<Workload, 'watch'>, (client: ApiClient, index: number) => Promise<Reply>>> = {
      create: (client) => {
        const name = `created-${created++}`
        made.push(name)
        return client.ask('POST', madeMaps, configMap(name, options.valueBytes, 'no'))
      },
      get: (client) => client.ask('GET', `${maps}/${pick()}`),
      // Each client has names of its own: conflicts are not what is measured.
      update: (client, index) => {
        const name = ownName(names, index, options.clients)
        return client.ask('PUT', `${maps}/${name}`, configMap(name, options.valueBytes, isSelected(name)))
      },
      patch: (client) => client.ask('PATCH', `${maps}/${pick()}`, patchBody(), 'application/merge-patch+json'),
      list: (client) => client.ask('GET', `${maps}?resourceVersion=0`),
      'list-page': (client) => client.ask('GET', `${maps}?limit=500`),
      'list-selector': (client) => client.ask('GET', `${maps}?labelSelector=selected%3Dyes`),
      delete: (client) => client.ask('DELETE', `${madeMaps}/${made.pop() ?? 'none'}`),
    }
    const measure = (workload: Workload): Promise<Run> =>
      workload === 'watch'
        ? runWatch(clients, names, options)
        : runClients(workload === 'list' ? clients.slice(0, fullLists) : clients, {
            step: steps[workload],
            seconds: options.seconds,
            operations: Math.ceil((options.operations ?? Infinity) * (workload.startsWith('list') ? partOfLists : 1)),
            until: () => workload === 'delete' && made.length === 0,
          })
    for (const workload of workloads) {
      const before = options.cpuMs()
      const run = await measure(workload)
      onResult({ workload, ...run, cpuMicros: ((options.cpuMs() - before) * 1000) / run.ops })
    }
  } finally {
    for (const client of clients) client.close()
  }
}

const isSelected = (name: string): string => (name.endsWith('00') ? 'yes' : 'no')

function ownName(names: readonly string[], index: number, clients: number): string {
  const own = Math.floor(names.length / clients)
  return names[index * own + Math.floor(Math.random() * own)] ?? ''
}

/** Begins with a number that hardly another has, so that each update changes something. */
function configMap(name: string, valueBytes: number, selected: string): string {
  const value = `${Math.random()}-${'v'.repeat(valueBytes)}`
  return JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: { selected } }, data: { value } })
}

async function fill(clients: readonly ApiClient[], names: readonly string[], { valueBytes }: LoadOptions): Promise<void> {
  let next = 0
  const work = async (client: ApiClient): Promise<void> => {
    for (let name = names[next++]; name !== undefined; name = names[next++]) {
      const { status, body } = await client.ask('POST', maps, configMap(name, valueBytes, isSelected(name)))
      if (status !== 201) throw new Error(`Cannot fill the server: ${body.toString().slice(0, 300)}`)
    }
  }
  await Promise.all(clients.map(work))
}

type Run = Omit<LoadResult, 'workload' | 'cpuMicros'>

async function runClients(
  clients: readonly ApiClient[],
  run: {
    readonly step: (client: ApiClient, index: number) => Promise<Reply>
    readonly seconds: number
    readonly operations: number
    readonly until: () => boolean
  },
): Promise<Run> {
  const times: number[] = []
  let [errors, left] = [0, run.operations]
  const begin = performance.now()
  const deadline = begin + run.seconds * 1000
  const work = async (client: ApiClient, index: number): Promise<void> => {
    while (performance.now() < deadline && !run.until() && left-- > 0) {
      const sent = performance.now()
      const reply = await run.step(client, index).catch(() => undefined) // counted below
      times.push(performance.now() - sent)
      if (reply === undefined || reply.status >= 300) errors++
    }
  }
  await Promise.all(clients.map(work))
  return { ...summary(times, begin), errors }
}

function summary(times: readonly number[], begin: number): Pick<LoadResult, 'ops' | 'seconds' | 'p50' | 'p99'> {
  const sorted = times.toSorted((left, right) => left - right)
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
  return { ops: times.length, seconds: (performance.now() - begin) / 1000, p50: at(0.5), p99: at(0.99) }
}

async function runWatch(clients: readonly ApiClient[], names: readonly string[], options: LoadOptions): Promise<Run> {
  const lags: number[] = []
  const watchers = Array.from({ length: options.watchers }, () => new ApiClient(options.address))
  const { body } = (await clients[0]?.ask('GET', `${maps}?limit=1`)) ?? { body: Buffer.from('{}') }
  const { metadata } = JSON.parse(body.toString()) as { readonly metadata: { readonly resourceVersion: string } } // it is a list
  const mark = '"sent":"'
  const onData = (): ((chunk: Buffer) => void) => {
    let rest = ''
    return (chunk) => {
      const now = performance.now()
      const lines = (rest + chunk.toString('latin1')).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const at = line.indexOf(mark)
        if (at >= 0) lags.push(now - Number.parseFloat(line.slice(at + mark.length, at + mark.length + 20)))
      }
    }
  }
  await Promise.all(watchers.map((watcher) => watcher.watch(`${maps}?watch=1&resourceVersion=${metadata.resourceVersion}`, onData())))
  const begin = performance.now()
  const step = (client: ApiClient): Promise<Reply> => {
    const name = names[Math.floor(Math.random() * names.length)] ?? ''
    return client.ask(
      'PATCH',
      `${maps}/${name}`,
      JSON.stringify({ data: { sent: String(performance.now()) } }),
      'application/merge-patch+json',
    )
  }
  const { errors, ops } = await runClients(clients.slice(0, writers), {
    step,
    seconds: options.seconds,
    operations: (options.operations ?? Infinity) * partOfWatched,
    until: () => false,
  })
  const expected = (ops - errors) * options.watchers
  for (const until = performance.now() + 10_000; lags.length < expected && performance.now() < until;) await sleep(10)
  for (const watcher of watchers) watcher.close()
  return { ...summary(lags, begin), errors: errors + Math.max(0, expected - lags.length) }
}
