import { StatusError } from '@k3s/api'

/** What a client wants to see of an object. */
export type Representation = 'object' | 'table' | 'partial'

export interface Negotiated {
  readonly representation: Representation
  /** JSON, or YAML for people. */
  readonly mediaType: 'application/json' | 'application/yaml'
  /** What the client named for a representation that is none of the object itself. */
  readonly as?: string | undefined
  /** Version of that: `v1beta1` where a client still asks for it. */
  readonly version?: 'v1' | 'v1beta1' | undefined
}

/** One entry of an Accept header. */
export interface AcceptEntry {
  readonly type: string
  readonly parameters: Readonly<Record<string, string>>
}

const plain: Negotiated = { representation: 'object', mediaType: 'application/json' }

/** Entries of an Accept header, the client's favourites first. */
export function parseAccept(header: string): readonly AcceptEntry[] {
  return header
    .split(',')
    .map((part) => {
      const [type = '', ...rest] = part.split(';').map((piece) => piece.trim())
      const parameters = Object.fromEntries(rest.map((piece) => [piece.split('=', 1)[0] ?? '', piece.slice(piece.indexOf('=') + 1)]))
      return { type: type.toLowerCase(), parameters }
    })
    .filter(({ type }) => type !== '')
    .toSorted((left, right) => quality(right) - quality(left))
}

function quality({ parameters }: AcceptEntry): number {
  const value = Number(parameters['q'] ?? 1)
  return Number.isNaN(value) ? 1 : value
}

/**
 * Chooses how to answer; JSON where the client leaves the choice. Protobuf, which upstream also answers with, is passed over: clients that ask
 * for it take JSON as well. Throws NotAcceptable. `transformable` is false for what has no metadata and so no Table.
 */
export function negotiate(
  header: string | undefined,
  options: { readonly transformable: boolean; readonly isList?: boolean | undefined },
): Negotiated {
  if (header === undefined || header === '' || header === '*/*' || header === 'application/json') return plain
  const entries = parseAccept(header)
  for (const entry of entries) {
    const { as } = entry.parameters
    const isJson = entry.type === 'application/json' || entry.type === '*/*'
    if (as !== undefined) {
      const representation = transformation(entry)
      if (representation === undefined || !isJson || !options.transformable) continue
      return { representation, mediaType: 'application/json', as, version: entry.parameters['v'] === 'v1beta1' ? 'v1beta1' : 'v1' }
    }
    if (isJson) return plain
    if (entry.type === 'application/yaml') return { representation: 'object', mediaType: 'application/yaml' }
    // A client that insists on protobuf still understands JSON by the answer's Content-Type.
    if (entry.type.startsWith('application/vnd.kubernetes.protobuf') && entries.every(({ parameters }) => parameters['as'] === undefined))
      return plain
  }
  if (!entries.some(isServedType)) throw unknownTypes(options.isList === true)
  throw notAcceptable()
}

const servedTypes: readonly string[] = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf']
const isServedType = ({ type }: AcceptEntry): boolean => servedTypes.includes(type) || type === '*/*'

function unknownTypes(isList: boolean): StatusError {
  const streams = isList ? ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'] : []
  return new StatusError('NotAcceptable', `406: Not Acceptable\n\nAvailable representations: ${[...servedTypes, ...streams].join(', ')}`, {
    details: {},
  })
}

function transformation({ parameters: { as, v, g } }: AcceptEntry): Representation | undefined {
  if (g !== 'meta.k8s.io' || (v !== 'v1' && v !== 'v1beta1')) return undefined
  if (as === 'Table') return 'table'
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? 'partial' : undefined
}

/** 406 in upstream's words. */
export function notAcceptable(types: readonly string[] = servedTypes): StatusError {
  return new StatusError('NotAcceptable', `only the following media types are accepted: ${types.join(', ')}`)
}
