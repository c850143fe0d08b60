import { describe, expect, it } from 'vitest'
import { exactNumbers, exactReplacer } from '../src/watch-cache/exact-numbers.ts'
import { admin } from './start-server.ts'
import { startBuiltIn } from './start-cluster.ts'

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'counts.example.com' },
  spec: {
    group: 'example.com',
    names: { plural: 'counts', singular: 'count', kind: 'Count', listKind: 'CountList' },
    scope: 'Cluster',
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                properties: {
                  a: { type: 'integer', format: 'int64' },
                  b: { type: 'integer', format: 'int64' },
                  c: { type: 'integer', default: 7 },
                },
              },
            },
          },
        },
      },
    ],
  },
}

describe('whole numbers of 64 bits', () => {
  it('are known by what they are read as, and nothing else is', () => {
    const text =
      '{"a":9007199254740993,"b":[-9223372036854775807, 9007199254740992],"c":"9007199254740995","d":1e30,"e":99999999999999999999}'
    const rewritten = (...texts: readonly string[]): string =>
      JSON.stringify(JSON.parse(texts[0] ?? ''), exactReplacer(exactNumbers(...texts.map((one) => Buffer.from(one)))))
    expect(rewritten(text)).toBe(
      '{"a":9007199254740993,"b":[-9223372036854775807,9007199254740992],"c":"9007199254740995","d":1e+30,"e":100000000000000000000}',
    )
    // What reads the same is told apart by the names of fields; the first text counts most.
    const close = '{ "a" : 9007199254740993, "b": 9007199254740992, "é\\"": {"0": 9007199254740993} }'
    expect(rewritten(close)).toBe('{"a":9007199254740993,"b":9007199254740992,"é\\"":{"0":9007199254740993}}')
    expect(rewritten(close.replace('993', '992'), close)).toContain('{"a":9007199254740992,"b":9007199254740992')
    // A patch names no fields.
    const patch = '[{"op":"replace","path":"/b","value":9007199254740993}]'
    expect(JSON.stringify({ b: 9007199254740992 }, exactReplacer(exactNumbers(Buffer.from(patch), Buffer.from(close))))).toBe(
      '{"b":9007199254740993}',
    )
    expect(exactNumbers(Buffer.from('{"a":1}'), undefined).size).toBe(0)
  })

  it('are kept in custom resources through every kind of write', async () => {
    const { server } = await startBuiltIn({ authenticators: [{ name: 'test', authenticate: () => Promise.resolve({ user: admin }) }] })
    const { url } = await server.listen({ port: 0 })
    const send = async (method: string, path: string, body?: string, type = 'application/json'): Promise<string> => {
      const headers = body === undefined ? {} : { 'content-type': type }
      return (await fetch(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) })).text()
    }
    await send('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', JSON.stringify(definition))
    const all = '/apis/example.com/v1/counts'
    await expect.poll(() => send('GET', all), { timeout: 10_000 }).toContain('CountList')
    const head = '"apiVersion":"example.com/v1","kind":"Count"'
    const created = await send('POST', all, `{${head},"metadata":{"name":"x"},"spec":{"a":9007199254740993,"b":1}}`)
    expect(created).toContain('"a":9007199254740993')
    expect(created).toContain('"c":7')
    const patched = await send('PATCH', `${all}/x`, '{"spec":{"b":-9223372036854775807}}', 'application/merge-patch+json')
    expect(patched).toMatch(/"a":9007199254740993,"b":-9223372036854775807/)
    // Read as the number that is there already.
    const again = await send('PATCH', `${all}/x`, '{"spec":{"b":-9223372036854775806}}', 'application/merge-patch+json')
    expect(again).toContain('"b":-9223372036854775806')
    expect(await send('GET', `${all}/x`)).toContain('"a":9007199254740993,"b":-9223372036854775806')
    // Two fields that are read as the same number.
    const twins = await send('PATCH', `${all}/x`, '{"spec":{"b":9007199254740992}}', 'application/merge-patch+json')
    expect(twins).toContain('"a":9007199254740993,"b":9007199254740992')
    const swapped = await send(
      'PATCH',
      `${all}/x`,
      '[{"op":"replace","path":"/spec/b","value":-9223372036854775806}]',
      'application/json-patch+json',
    )
    expect(swapped).toContain('"a":9007199254740993,"b":-9223372036854775806')
    const applied = `{${head},"metadata":{"name":"y"},"spec":{"a":1000000000000000001}}`
    expect(await send('PATCH', `${all}/y?fieldManager=m`, applied, 'application/apply-patch+yaml')).toContain('"a":1000000000000000001')
    const listed = await send('GET', all)
    expect(listed).toContain('"a":9007199254740993')
    expect(listed).toContain('"a":1000000000000000001')
  })
})
