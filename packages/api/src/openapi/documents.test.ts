import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { without } from '../codec/decode-object.ts'
import { groupInfos } from '../schema/resources.ts'
import { openApiOfCustom, openApiV2, openApiV3, openApiV3Index, openApiV3Keys } from './documents.ts'

/** Upstream's own documents, in the Go module k8s.io/kubernetes (`go mod download k8s.io/kubernetes@v1.36.3`). */
const dir = join(homedir(), 'go/pkg/mod/k8s.io/kubernetes@v1.36.3/api/openapi-spec')
const groupVersions = groupInfos().flatMap(({ group, versions }) =>
  versions.map((version) => (group === '' ? version : `${group}/${version}`)),
)
type Schemas = Record<string, Record<string, unknown>>

const byText = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : 1)

/** Without what is words, or is only in documents of a live server (enums), or says the same in another way. */
function normalize(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normalize)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(
    ([key, item]) => !(key === 'description' && typeof item === 'string') && key !== 'enum' && key !== 'x-kubernetes-unions',
  )
  const object = Object.fromEntries(
    entries.map(([key, item]) => [key, key === 'required' && Array.isArray(item) ? item.toSorted(byText) : normalize(item)]),
  )
  const { allOf, ...rest } = object
  const [only] = Array.isArray(allOf) ? allOf : []
  return typeof only === 'object' && only !== null ? { ...only, ...rest } : object
}

function withoutKinds(schemas: Schemas, ...names: string[]): Schemas {
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => {
      if (!names.some((end) => name.endsWith(end))) return [name, schema]
      return [name, without(schema, 'x-kubernetes-group-version-kind')]
    }),
  )
}

describe("documents beside upstream's", () => {
  // oxlint-disable-next-line vitest/expect-expect -- says loudly that there is nothing to compare with
  it.for(existsSync(dir) ? [] : [dir])('ARE MISSING, nothing is compared: %s', (_, { skip }) => {
    skip('run "go mod download k8s.io/kubernetes@v1.36.3"')
  })

  it.each(existsSync(dir) ? groupVersions : [])('%s has the same schemas and paths', (groupVersion) => {
    const name = groupVersion.includes('/') ? `apis__${groupVersion.replace('/', '__')}` : `api__${groupVersion}`
    // Upstream's file in upstream's shape.
    const upstream = JSON.parse(readFileSync(join(dir, 'v3', `${name}_openapi.json`), 'utf8')) as {
      components: { schemas: Schemas }
      paths: Record<string, Record<string, unknown>>
    }
    const ours = openApiV3(groupVersion) as unknown as typeof upstream
    const everywhere = ['.DeleteOptions', '.WatchEvent', '.Status']
    expect(normalize(withoutKinds(ours.components.schemas, ...everywhere))).toEqual(
      normalize(withoutKinds(upstream.components.schemas, ...everywhere)),
    )
    const methods = (paths: Record<string, Record<string, unknown>>): Record<string, string[]> =>
      Object.fromEntries(
        Object.entries(paths)
          .filter(([path]) => !path.includes('/watch/') && !path.endsWith('/') && !path.includes('/proxy'))
          .map(([path, entry]) => [
            path,
            Object.keys(entry)
              .filter((key) => key !== 'parameters')
              .toSorted(),
          ]),
      )
    expect(methods(ours.paths)).toEqual(methods(upstream.paths))
  })
})

describe('openApiV3Index()', () => {
  it('names a document for each group version', () => {
    const { paths } = openApiV3Index()
    expect(Object.keys(paths)).toEqual([...openApiV3Keys()])
    expect(paths['apis/apps/v1']?.serverRelativeURL).toMatch(/^\/openapi\/v3\/apis\/apps\/v1\?hash=[0-9A-F]{64}$/)
    expect(openApiV3Index({ descriptions: { a: {} } }).paths['api/v1']).not.toEqual(paths['api/v1'])
  })
})

describe('openApiV3()', () => {
  it('tells clients that writes take fieldValidation and dryRun', () => {
    const document = openApiV3('apps/v1')
    expect(document).toMatchObject({
      paths: {
        '/apis/apps/v1/namespaces/{namespace}/deployments/{name}': {
          patch: {
            'x-kubernetes-group-version-kind': { group: 'apps', version: 'v1', kind: 'Deployment' },
            parameters: expect.arrayContaining([
              expect.objectContaining({ name: 'fieldValidation', in: 'query' }),
              expect.objectContaining({ name: 'dryRun' }),
            ]),
          },
        },
      },
    })
  })

  it('carries descriptions and enums', () => {
    expect(openApiV3('v1', { descriptions: { 'core/v1.Container': { '': 'A container.', image: 'Its image.' } } })).toMatchObject({
      components: {
        schemas: {
          'io.k8s.api.core.v1.Container': {
            description: 'A container.',
            properties: { image: { description: 'Its image.' }, imagePullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] } },
          },
        },
      },
    })
  })

  it('is undefined for versions that are not served', () => {
    expect(openApiV3('apps/v1beta1')).toBeUndefined()
  })
})

describe('openApiV2()', () => {
  it('resolves all its references', () => {
    const document = openApiV2()
    const definitions = document['definitions'] as Schemas
    const refs = new Set([...JSON.stringify(document).matchAll(/"\$ref":"#\/definitions\/([^"]+)"/g)].map(([, name = '']) => name))
    expect([...refs].filter((name) => definitions[name] === undefined)).toEqual([])
    expect(refs.size).toBeGreaterThan(500)
  })
})

describe('openApiOfCustom()', () => {
  it('publishes a custom resource with its list and subresources', () => {
    const resource = {
      group: 'example.com',
      version: 'v1',
      resource: 'foos',
      singular: 'foo',
      kind: 'Foo',
      namespaced: true,
      shortNames: [],
      categories: [],
      verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
      subresources: [{ name: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale', verbs: ['get', 'patch', 'update'] }],
    }
    const document = openApiOfCustom('v3', [{ resource, name: 'com.example.v1.Foo', schema: { type: 'object' } }])
    expect(document).toMatchObject({
      paths: { '/apis/example.com/v1/namespaces/{namespace}/foos/{name}/scale': { get: {} }, '/apis/example.com/v1/foos': { get: {} } },
      components: {
        schemas: { 'com.example.v1.Foo': { type: 'object' }, 'com.example.v1.FooList': {}, 'io.k8s.api.autoscaling.v1.Scale': {} },
      },
    })
  })
})
