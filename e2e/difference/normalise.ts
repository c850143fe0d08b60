import type { RawAnswer } from './client.ts'

/** An answer without what is random or a time. */
export interface Answer {
  readonly status: number
  readonly type: string
  readonly warnings?: readonly string[]
  readonly retryAfter?: string
  /** JSON, the lines of a stream of JSON, or text. */
  readonly body: unknown
}

const uidPattern = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g
const timePattern = /\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| \+0000 UTC)/g
const tokenPattern = /eyJ[\w-]+\.[\w-]+\.[\w-]+/g
const nearMs = 3 * 24 * 3600 * 1000
// Longer texts are compared by their beginning.
const maxText = 20_000

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)

function ownerOf(entry: unknown): string {
  if (!isRecord(entry)) return ''
  return [entry['manager'], entry['operation'], entry['subresource'], entry['apiVersion']].join(' ')
}

/** Gives the same random value of one case the same name each time it is seen, so that "unchanged" and "another" stay facts. */
export class Normaliser {
  readonly #run: string
  readonly #uids = new Map<string, string>()
  readonly #versions = new Map<string, string>()
  readonly #generated = new Map<string, string>()
  #step = ''
  #prefix = ''

  constructor(run: string) {
    this.#run = run
  }

  /** `step` tells values apart by where they were seen first; `generateName` is that of the request's body. */
  answer(raw: RawAnswer, step: string, generateName = ''): Answer {
    this.#step = step
    this.#prefix = generateName
    const type = (raw.headers['content-type'] ?? '').replaceAll(' ', '')
    const warning = raw.headers['warning'] as string | readonly string[] | undefined // node's types know one, its parser joins several
    const warnings = warning === undefined ? [] : [warning].flat().map((text) => this.#text(text))
    const retryAfter = raw.headers['retry-after']
    return {
      status: raw.status,
      type,
      ...(warnings.length === 0 ? {} : { warnings }),
      ...(retryAfter === undefined ? {} : { retryAfter }),
      body: this.#body(raw.text, type),
    }
  }

  #body(text: string, type: string): unknown {
    if (type.startsWith('application/json')) {
      try {
        return this.#value(JSON.parse(text), '')
      } catch {
        // A stream of events, or broken: told apart by its lines.
      }
      const lines = text.split('\n').filter((line) => line !== '')
      try {
        return lines.map((line) => this.#value(JSON.parse(line), ''))
      } catch {
        return this.#text(text)
      }
    }
    return this.#text(text.slice(0, maxText))
  }

  #value(value: unknown, key: string): unknown {
    if (typeof value === 'string') return this.#string(value, key)
    if (typeof value === 'number') return (key === 'nodePort' || key === 'healthCheckNodePort') && value >= 30000 ? '<port>' : value
    if (Array.isArray(value)) {
      const items = value.map((item) => this.#value(item, key))
      // Their order is one of times, in whole seconds.
      return key === 'managedFields' ? items.toSorted((a, b) => (ownerOf(a) < ownerOf(b) ? -1 : 1)) : items
    }
    if (!isRecord(value)) return value
    this.#noteGenerated(value)
    if (value['kind'] === 'Table') return this.#table(value)
    const isList = Array.isArray(value['items']) && typeof value['kind'] === 'string'
    return Object.fromEntries(
      Object.keys(value)
        .toSorted()
        .map((name) => [
          name.includes(this.#run) || name.startsWith('k:') ? this.#text(name) : name,
          isList && name === 'metadata' ? this.#listMeta(value[name]) : this.#value(value[name], name),
        ]),
    )
  }

  #listMeta(meta: unknown): unknown {
    if (!isRecord(meta)) return meta
    return {
      ...meta,
      ...('resourceVersion' in meta ? { resourceVersion: '<version>' } : {}),
      ...('continue' in meta ? { continue: '<continue>' } : {}),
    }
  }

  #table(table: Record<string, unknown>): unknown {
    const columns = Array.isArray(table['columnDefinitions']) ? (table['columnDefinitions'] as { name: string }[]) : []
    const rows = Array.isArray(table['rows']) ? (table['rows'] as { cells: unknown[]; object: unknown }[]) : undefined
    return {
      ...table,
      metadata: this.#listMeta(table['metadata']),
      ...(rows === undefined
        ? {}
        : {
            rows: rows.map((row) => ({
              ...row,
              cells: row.cells.map((cell, index) =>
                typeof cell === 'string' && /^\d+[smhdy]/.test(cell) && /Age|Duration|Last|First|^$/.test(columns[index]?.name ?? '')
                  ? '<age>'
                  : this.#value(cell, columns[index]?.name === 'Cluster-IP' ? 'clusterIP' : ''),
              ),
              object: this.#value(row.object, 'object'),
            })),
          }),
    }
  }

  #noteGenerated({ metadata }: Record<string, unknown>): void {
    if (!isRecord(metadata)) return
    const { generateName, name } = metadata
    if (typeof generateName !== 'string' || typeof name !== 'string' || generateName === '' || name.length !== generateName.length + 5)
      return
    if (name.startsWith(generateName)) this.#generated.set(name, `${generateName}<suffix>`)
  }

  #string(value: string, key: string): string {
    if (key === 'resourceVersion' && /^\d+$/.test(value)) return this.#nameOf(this.#versions, value, 'version')
    if ((key === 'clusterIP' || key === 'clusterIPs') && value.startsWith('10.43.')) return '<ip>'
    return this.#text(value)
  }

  #text(value: string): string {
    let text = value
      .replaceAll(this.#run, 'RUN')
      .replaceAll(uidPattern, (uid) => this.#nameOf(this.#uids, uid, 'uid'))
      .replaceAll(timePattern, (time) =>
        Math.abs(Date.parse(time.replace(' +0000 UTC', 'Z').replace(' ', 'T')) - Date.now()) < nearMs
          ? time.includes('.')
            ? '<microtime>'
            : '<time>'
          : time,
      )
      .replaceAll(tokenPattern, '<token>')
      .replaceAll(/resourceVersion: "\d+"/g, 'resourceVersion: "<version>"')
      .replaceAll(/ResourceVersion in object meta: \d+/g, 'ResourceVersion in object meta: <version>')
      .replaceAll(/kube-api-access-[a-z0-9]{5}/g, 'kube-api-access-<suffix>')
      .replaceAll(/(current: |too old resource version: |ResourceVersion in record \()\d+/g, '$1<version>')
      .replaceAll(/(too old resource version: <version>) \(\d+\)/g, '$1')
    if (this.#prefix !== '')
      text = text.replaceAll(
        new RegExp(`(${escaped(this.#prefix.replaceAll(this.#run, 'RUN'))})[bcdfghjklmnpqrstvwxz2456789]{5}`, 'g'),
        '$1<suffix>',
      )
    for (const [name, replacement] of this.#generated)
      text = text.replaceAll(name.replaceAll(this.#run, 'RUN'), replacement.replaceAll(this.#run, 'RUN'))
    return text
  }

  #nameOf(names: Map<string, string>, value: string, what: string): string {
    const known = names.get(value)
    if (known !== undefined) return known
    const alike = [...names.values()].filter((name) => name.startsWith(`<${what} of ${this.#step}`)).length
    const name = `<${what} of ${this.#step}${alike === 0 ? '' : ` ${alike + 1}`}>`
    names.set(value, name)
    return name
  }
}
