import type { ReadLogsOptions } from '@k3s/cri-client'

export type LogOptions = Pick<
  ReadLogsOptions,
  'follow' | 'tailLines' | 'sinceTime' | 'sinceSeconds' | 'timestamps' | 'limitBytes' | 'stream'
>

const isTrue = (value: string | null): boolean => value !== null && value !== 'false' && value !== '0'

/** Reads v1 PodLogOptions from a query. Throws what the client is told on values that are none. */
export function parseLogOptions(query: URLSearchParams): { readonly previous: boolean; readonly read: LogOptions } {
  const number = (name: string, minimum: number): number | undefined => {
    const text = query.get(name)
    if (text === null || text === '') return undefined
    const value = Number(text)
    if (!Number.isInteger(value) || value < minimum) throw new Error(`invalid ${name}: ${text}`)
    return value
  }
  const since = query.get('sinceTime')
  if (since !== null && Number.isNaN(Date.parse(since))) throw new Error(`invalid sinceTime: ${since}`)
  const stream = query.get('stream')
  const tail = number('tailLines', 0)
  const read = {
    follow: isTrue(query.get('follow')),
    timestamps: isTrue(query.get('timestamps')),
    tailLines: query.get('tail') === null || tail !== undefined ? tail : number('tail', 0),
    sinceSeconds: number('sinceSeconds', 1),
    sinceTime: since === null ? undefined : Date.parse(since),
    limitBytes: number('limitBytes', 1),
    stream: stream === 'Stdout' ? 'stdout' : stream === 'Stderr' ? 'stderr' : undefined,
  } as const
  return { previous: isTrue(query.get('previous')), read }
}
