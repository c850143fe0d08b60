import { createHash } from 'node:crypto'
import {
  encodeOpenApiV2,
  openApiOfCustom,
  openApiV2,
  openApiV3Index,
  type CustomOpenApi,
  type JsonObject,
  type OpenApiOptions,
} from '@k3s/api'
import { mergeParts, type OpenApiPart } from '../aggregation/remote-open-api.ts'
import { customOpenApi } from '../custom-resources/open-api.ts'
import { isObject } from '../json.ts'
import type { ResourceTable } from '../registry/resource-table.ts'
import type { ServedResource } from '../registry/served-resource.ts'

/** A document, ready to be sent. */
export interface OpenApiDocument {
  readonly body: Buffer
  readonly etag: string
  readonly contentType: string
}

export function documentOf(body: Buffer, contentType = 'application/json'): OpenApiDocument {
  return { body, contentType, etag: `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"` }
}

type Customs = readonly ServedResource[]

/** What aggregated servers publish. */
export interface RemoteDocuments {
  /** Counts changes. */
  readonly generation: number
  readonly openApiIndex: Readonly<Record<string, { readonly serverRelativeURL: string }>>
  readonly openApiParts: readonly OpenApiPart[]
}

/** What is published besides the built-in types. */
export interface V2Parts {
  readonly custom: JsonObject
  readonly remote: readonly OpenApiPart[]
}

/** The one document of everything, in OpenAPI v2, as JSON or in protobuf. Takes a fifth of a second. */
export function wholeV2(options: OpenApiOptions, { custom, remote }: V2Parts, isProtobuf: boolean): Buffer {
  const whole = openApiV2(options)
  const others = mergeParts({ ...partOf(custom, 'definitions'), ...partOf(whole, 'definitions') }, remote)
  const joined = (name: 'paths' | 'definitions'): JsonObject => ({ ...others[name], ...partOf(custom, name), ...partOf(whole, name) })
  const document = { ...whole, paths: joined('paths'), definitions: joined('definitions') }
  return isProtobuf ? Buffer.from(encodeOpenApiV2(document)) : Buffer.from(JSON.stringify(document))
}

/** OpenAPI documents of what is served now, custom resources among it. Each is made when it is first asked for after a change of what it is about. */
export class CustomDocuments {
  readonly #table: ResourceTable
  readonly #remote: RemoteDocuments | undefined
  #generation = -1
  #remoteGeneration = 0
  #customs: ReadonlyMap<string, Customs> = new Map()
  /** Documents of group versions, by what they are made of. */
  readonly #documents = new Map<string, { readonly customs: Customs; readonly document: OpenApiDocument }>()
  readonly #hashes = new WeakMap<object, string>()
  readonly #whole = new Map<string, OpenApiDocument>()
  readonly #making = new Map<string, Promise<OpenApiDocument>>()
  #builtInIndex: ReturnType<typeof openApiV3Index> | undefined

  constructor(table: ResourceTable, remote?: RemoteDocuments) {
    this.#table = table
    this.#remote = remote
  }

  /** Neither custom resources nor aggregated servers publish anything. */
  get isEmpty(): boolean {
    return this.#current().size === 0 && (this.#remote === undefined || this.#remote.generation === 0)
  }

  #current(): ReadonlyMap<string, Customs> {
    if (this.#remote !== undefined && this.#remote.generation !== this.#remoteGeneration) {
      this.#remoteGeneration = this.#remote.generation
      this.#whole.clear()
    }
    if (this.#generation === this.#table.generation) return this.#customs
    this.#generation = this.#table.generation
    this.#whole.clear()
    const customs = [...this.#table.all].filter(({ custom }) => custom?.isAnnounced === true)
    this.#customs = Map.groupBy(customs, ({ type }) => `${type.group}/${type.version}`)
    for (const key of this.#documents.keys()) if (!this.#customs.has(key)) this.#documents.delete(key)
    return this.#customs
  }

  /** The document of a group version; undefined when it has no custom resources. */
  v3(groupVersion: string, options: OpenApiOptions): OpenApiDocument | undefined {
    const customs = this.#current().get(groupVersion)
    if (customs === undefined) return undefined
    const known = this.#documents.get(groupVersion)
    if (known !== undefined && known.customs.length === customs.length && known.customs.every((one, index) => one === customs[index]))
      return known.document
    const document = documentOf(Buffer.from(JSON.stringify(openApiOfCustom('v3', published(customs, 'v3', options), options))))
    this.#documents.set(groupVersion, { customs, document })
    return document
  }

  /** Where the documents are; a hash changes with what it stands for. */
  index(options: OpenApiOptions): OpenApiDocument {
    return this.#remembered('index', () => {
      const { paths } = (this.#builtInIndex ??= openApiV3Index(options))
      const own = [...this.#current()].map(([groupVersion, customs]) => {
        const hash = createHash('sha256')
        for (const served of customs) hash.update(this.#hashOf(served))
        const address = `/openapi/v3/apis/${groupVersion}?hash=${hash.digest('hex').toUpperCase()}`
        return [`apis/${groupVersion}`, { serverRelativeURL: address }] as const
      })
      return documentOf(Buffer.from(JSON.stringify({ paths: { ...Object.fromEntries(own), ...paths, ...this.#remote?.openApiIndex } })))
    })
  }

  #hashOf(served: ServedResource): string {
    let hash = this.#hashes.get(served)
    if (hash === undefined) {
      const text = JSON.stringify([served.info, served.custom?.published])
      this.#hashes.set(served, (hash = createHash('sha256').update(text).digest('hex')))
    }
    return hash
  }

  /** What is published besides the built-in types, for `openApiV2` of everything. */
  v2Parts(options: OpenApiOptions): V2Parts {
    return { custom: openApiOfCustom('v2', this.#allPublished(options), options), remote: this.#remote?.openApiParts ?? [] }
  }

  /** Remembers a document until something else is published. */
  async remembered(key: string, make: () => Promise<OpenApiDocument>): Promise<OpenApiDocument> {
    this.#current()
    const known = this.#whole.get(key)
    if (known !== undefined) return known
    const made = this.#making.get(key) ?? make().finally(() => this.#making.delete(key))
    this.#making.set(key, made)
    const generation = [this.#generation, this.#remoteGeneration].join()
    const document = await made
    this.#current()
    if (generation === [this.#generation, this.#remoteGeneration].join()) this.#whole.set(key, document)
    return document
  }

  #allPublished(options: OpenApiOptions): readonly CustomOpenApi[] {
    return published([...this.#current().values()].flat(), 'v2', options)
  }

  #remembered(key: string, make: () => OpenApiDocument): OpenApiDocument {
    this.#current()
    const known = this.#whole.get(key)
    if (known !== undefined) return known
    const made = make()
    this.#whole.set(key, made)
    return made
  }
}

function published(customs: Customs, dialect: 'v2' | 'v3', { descriptions }: OpenApiOptions): readonly CustomOpenApi[] {
  return customs.flatMap((served) =>
    served.custom === undefined ? [] : [customOpenApi(served, served.custom.published, dialect, descriptions)],
  )
}

const partOf = (document: JsonObject, name: string): JsonObject => (isObject(document[name]) ? document[name] : {})
