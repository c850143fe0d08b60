import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { schemaOf, type TypeSchema } from '../schema/table.ts'
import { hasObjectMeta } from './decode-object.ts'
import { decodeJson, decodeObject, type SchemaPicker } from './json.ts'
import { decodeProtobuf } from './protobuf-decode.ts'
import { encodeProtobuf } from './protobuf-encode.ts'
import { decodeYaml } from './yaml.ts'

/** Upstream's own objects, every field filled, in the Go module k8s.io/api (`go mod download k8s.io/api@v0.36.3`). */
const dir = join(homedir(), 'go/pkg/mod/k8s.io/api@v0.36.3/testdata/HEAD')
const names = existsSync(dir) ? readdirSync(dir).flatMap((file) => /^(.*\.v\d+\.\w+)\.json$/.exec(file)?.[1] ?? []) : []
function schemaOfFixture(name: string): TypeSchema | undefined {
  const [, group = '', version = '', kind = ''] = /^(.*)\.(v\d+)\.(\w+)$/.exec(name) ?? []
  return schemaOf(group === 'core' ? version : `${group}/${version}`, kind)
}
const served = names.filter((name) => schemaOfFixture(name) !== undefined)

describe("upstream's fixtures", () => {
  // oxlint-disable-next-line vitest/expect-expect -- says loudly that there is nothing to compare with
  it.for(existsSync(dir) ? [] : [dir])('ARE MISSING, nothing is compared: %s', (_, { skip }) => {
    skip('run "go mod download k8s.io/api@v0.36.3"')
  })

  it.skipIf(!existsSync(dir))('are known to the table, all but the review of images', () => {
    expect(names.filter((name) => !served.includes(name))).toEqual(
      ['apidiscovery.k8s.io.v2.APIGroupDiscovery', 'imagepolicy.k8s.io.v1.ImageReview'].filter((name) => names.includes(name)),
    )
    expect(served.length).toBeGreaterThan(80)
  })

  it.each(served)('%s reads from JSON, YAML and protobuf alike and writes the same bytes', (name) => {
    const type = schemaOfFixture(name)!
    // WatchEvent does not say what it is.
    const pick: SchemaPicker = () => type
    const json = readFileSync(join(dir, `${name}.json`), 'utf8')
    const pb = readFileSync(join(dir, `${name}.pb`))
    // JSON.parse is untyped; every fixture is an object.
    const raw = JSON.parse(json) as Record<string, unknown>
    const { object, fieldErrors } = decodeJson(json, pick)
    expect(fieldErrors).toEqual([])
    expect(object).toEqual(raw)
    expect(decodeYaml(readFileSync(join(dir, `${name}.yaml`), 'utf8'), pick)).toEqual({ object, fieldErrors: [] })
    expect(decodeProtobuf(pb, pick)).toEqual(object)
    expect(Buffer.from(encodeProtobuf(object, type)).equals(pb)).toBe(true)
    expect(decodeObject(object, type).object).toEqual(object)
    expect(hasObjectMeta(type)).toBe(typeof raw['metadata'] === 'object' && 'uid' in (raw['metadata'] ?? {}))
  })
})
