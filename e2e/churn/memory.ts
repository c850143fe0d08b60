import { setTimeout as sleep } from 'node:timers/promises'

/** Megabytes at one time, by what has them: a process, or a part of one. */
export type Memory = Readonly<Record<string, number>>

/** What something had: the most of each half of the time, and in the end. */
export interface MemoryCourse {
  readonly name: string
  readonly firstHalf: number
  readonly secondHalf: number
  readonly last: number
}

const everyMs = 60_000
const megabyte = 1024 * 1024

/** Samples once a minute, and once more when the signal aborts. */
export async function followMemory(sample: () => Promise<Memory>, signal: AbortSignal): Promise<readonly Memory[]> {
  const samples: Memory[] = []
  while (!signal.aborted) {
    await sleep(everyMs, undefined, { signal }).catch(() => {}) // aborted
    samples.push(await sample())
  }
  return samples
}

/** What our server said last of its own memory in its log (see serve.ts); nothing before it did. */
export function toldMemory(log: string): Memory {
  const line = log.split('\n').findLast((one) => one.includes('"message":"Memory"'))
  if (line === undefined) return {}
  const { heapUsed, arrayBuffers } = JSON.parse(line) as NodeJS.MemoryUsage // that is what is logged
  return { 'api-server, heap': heapUsed / megabyte, 'api-server, array buffers': arrayBuffers / megabyte }
}

/** The courses of all that has memory, in the order in which they came. */
export function coursesOf(samples: readonly Memory[]): readonly MemoryCourse[] {
  const half = Math.ceil(samples.length / 2)
  const most = (of: readonly Memory[], name: string): number => Math.max(0, ...of.map((sample) => sample[name] ?? 0))
  return [...new Set(samples.flatMap((sample) => Object.keys(sample)))].map((name) => ({
    name,
    firstHalf: most(samples.slice(0, half), name),
    secondHalf: most(samples.slice(half), name),
    last: samples.at(-1)?.[name] ?? 0,
  }))
}
