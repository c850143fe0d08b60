import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseProto } from '../scripts/parse-proto.ts'

/** CRI's own file, when its Go module is in the module cache. */
function upstreamFile(): string | undefined {
  const cache = join(moduleCache(), 'k8s.io')
  const modules = existsSync(cache) ? readdirSync(cache).filter((name) => name.startsWith('cri-api@v0.36.')) : []
  const file = join(cache, modules.toSorted().at(-1) ?? '', 'pkg/apis/runtime/v1/api.proto')
  return modules.length > 0 && existsSync(file) ? file : undefined
}

function moduleCache(): string {
  try {
    return execFileSync('go', ['env', 'GOMODCACHE'], { encoding: 'utf8' }).trim()
  } catch {
    return '/nonexistent' // without Go there is no cache
  }
}

/** `CDI_devices`, `uidMappings` and `Full` are `cdidevices`, `uidmappings` and `full`: only numbers and types are on the wire. */
const plain = (name: string): string => name.replaceAll('_', '').toLowerCase()

const file = upstreamFile()

describe.skipIf(file === undefined)('our part of CRI agrees with k8s.io/cri-api (needs that module in the Go cache)', () => {
  const ours = parseProto(readFileSync(new URL('../proto/cri.proto', import.meta.url), 'utf8'))
  const upstream = parseProto(file === undefined ? '' : readFileSync(file, 'utf8'))

  test('messages have the same fields by number, name and type', () => {
    expect(ours.messages.size).toBeGreaterThan(100)
    for (const [message, fields] of ours.messages) {
      const theirs = new Map((upstream.messages.get(message) ?? []).map((field) => [field.number, field]))
      for (const { number, name, type, label } of fields) {
        const their = theirs.get(number)
        const found = their && { name: plain(their.name), type: their.type, label: their.label }
        expect(found, `${message}.${name}`).toEqual({ name: plain(name), type, label })
      }
    }
  })

  test('enums are the same', () => {
    for (const [name, values] of ours.enums) {
      const theirs = upstream.enums.get(name)?.map((value) => `${value.name}=${value.number}`)
      expect(theirs, name).toEqual(values.map((value) => `${value.name}=${value.number}`))
    }
  })

  test('calls have the same messages', () => {
    for (const [service, methods] of ours.services)
      for (const method of methods) expect(upstream.services.get(service)).toContainEqual(method)
  })
})
