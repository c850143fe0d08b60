import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import { decode, encode } from './codec.ts'
import { enums, messages } from './messages.ts'
import type { MessageName } from './messages.ts'
import { methods } from './services.ts'

const normalize = (name: string): string => name.replaceAll('_', '').toLowerCase()
const root = loadProtos()
const names = Object.keys(messages).filter((name): name is MessageName => name in messages)
const tables: Readonly<Record<string, Readonly<Record<string, string>>>> = messages

/** Fields and messages of etcd 3.5 and 3.6, which etcd3's protos do not have yet. */
const newer = [
  'MemberListRequest.linearizable',
  'HashKVResponse.hashrevision',
  'SnapshotResponse.version',
  'StatusResponse.storageversion',
  'StatusResponse.dbsizequota',
  'StatusResponse.downgradeinfo',
  'DowngradeInfo.enabled',
  'DowngradeInfo.targetversion',
  'AuthStatusResponse.enabled',
  'AuthStatusResponse.authrevision',
]

describe("the table, beside etcd3's protos", () => {
  it.each(names)('%s has the same fields, numbers and types', (name) => {
    const ours = Object.entries(tables[name] ?? {}).map(([field, spec]) => describeOurs(field, spec))
    const theirs = lookup(name)?.fieldsArray.map(describeTheirs) ?? []
    const isNewer = ({ name: field }: { readonly name: string }): boolean => newer.includes(`${name}.${field}`)
    const byNumber = (a: { readonly number: number }, b: { readonly number: number }): number => a.number - b.number
    expect(ours.filter((field) => !isNewer(field)).sort(byNumber)).toEqual(theirs.filter((field) => !isNewer(field)).sort(byNumber))
  })

  it('has no enum value of its own', () => {
    for (const [name, values] of Object.entries(enums)) {
      const theirs = root.nested === undefined ? [] : findEnums(root).filter((candidate) => candidate.name === name)
      if (name === 'DowngradeAction' && theirs.length === 0) continue // of etcd 3.5
      const expected = Object.fromEntries(Object.entries(theirs[0]?.values ?? {}).map(([key, value]) => [normalize(key), value]))
      expect({ name, values: Object.fromEntries(Object.entries(values).map(([key, value]) => [normalize(key), value])) }).toEqual({
        name,
        values: expected,
      })
    }
  })

  it('has the methods, with their messages and streams', () => {
    for (const { path, request, response, kind } of Object.values(methods)) {
      const [, service = '', method = ''] = path.split('/')
      const theirs = findService(service)?.methods[method]
      if (theirs === undefined) {
        expect(['/etcdserverpb.Maintenance/Downgrade', '/etcdserverpb.Auth/AuthStatus']).toContain(path)
        continue
      }
      expect([path, theirs.requestType, theirs.responseType]).toEqual([path, request, response])
      expect([path, theirs.requestStream === true, theirs.responseStream === true]).toEqual([path, kind === 'bidi', kind !== 'unary'])
    }
  })
})

describe('encode() and decode()', () => {
  it.each(names.filter((name) => lookup(name) !== undefined))('agree with protobufjs on %s', (name) => {
    fc.assert(
      fc.property(arbitraryMessage(name, 3), (message) => {
        const type = lookup(name)
        if (type === undefined) throw new Error('filtered above')
        const bytes = encode(name, message)
        // What protobufjs reads from our bytes and writes again is what we wrote, and we read it back as it was.
        const theirs = Buffer.from(type.encode(type.decode(bytes)).finish())
        expect(canonical(decode(name, theirs))).toEqual(canonical(decode(name, bytes)))
        expect(canonical(decode(name, bytes))).toMatchObject(Object(canonical(message)))
      }),
      { numRuns: 50 },
    )
  })

  it('keep all 64 bits of an id', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (id, memberId) => {
        expect(decode('LeaseStatus', encode('LeaseStatus', { id })).id).toBe(id)
        expect(decode('AlarmMember', encode('AlarmMember', { memberId })).memberId).toBe(memberId)
      }),
    )
    expect(encode('LeaseStatus', { id: -1n }).toString('hex')).toBe('08ffffffffffffffffff01')
    expect(encode('LeaseStatus', { id: 2n ** 63n - 1n }).toString('hex')).toBe('08ffffffffffffffff7f')
    expect(encode('AlarmMember', { memberId: 2n ** 64n - 1n }).toString('hex')).toBe('08ffffffffffffffffff01')
  })

  it('leave the headroom asked for', () => {
    const bytes = encode('PutRequest', { key: Buffer.from('a'), value: Buffer.from('b') }, 5)
    expect(decode('PutRequest', bytes.subarray(5))).toEqual(
      decode('PutRequest', encode('PutRequest', { key: Buffer.from('a'), value: Buffer.from('b') })),
    )
    expect(decode('PutRequest', bytes, 5).key).toEqual(Uint8Array.of(97))
  })

  it('refuse a number beyond 2^53, and clamp one where a client may ask for all there is', () => {
    expect(() => encode('ResponseHeader', { revision: 2 ** 53 })).toThrow(RangeError)
    const huge = encode('LeaseStatus', { id: 2n ** 62n }) // field 1, as WatchCancelRequest's and CompactionRequest's
    expect(() => decode('WatchCancelRequest', huge)).toThrow(RangeError)
    expect(decode('CompactionRequest', huge).revision).toBe(Number.MAX_SAFE_INTEGER)
  })

  it('refuse what is cut short or malformed, whatever it is, and only with RangeError', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.uint8Array({ maxLength: 40 }), (name, noise) => {
        try {
          decode(name, Buffer.from(noise))
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
      { numRuns: 3000 },
    )
    const whole = encode('PutRequest', { key: Buffer.from('key'), value: Buffer.from('value') })
    for (const length of [1, 2, 4, 6, 9]) expect(() => decode('PutRequest', whole.subarray(0, length))).toThrow(RangeError)
  })
})

function arbitraryMessage(name: MessageName, depth: number): fc.Arbitrary<object> {
  const fields = Object.entries(tables[name] ?? {}).flatMap(([field, spec]) => {
    const words = spec.split(' ')
    words.pop()
    const type = words.pop() ?? ''
    if ((isName(type) && depth === 0) || newer.includes(`${name}.${normalize(field)}`)) return []
    const value = isName(type) ? arbitraryMessage(type, depth - 1) : arbitraryScalar(type)
    return [[field, words[0] === 'repeated' ? fc.array(value, { minLength: 1, maxLength: 3 }) : value] as const]
  })
  // A oneof's members exclude each other, which the table does not say: one of them is drawn.
  const isUnion = ['RequestOp', 'ResponseOp', 'WatchRequest'].includes(name)
  if (isUnion) return fc.oneof(...fields.map(([field, value]) => fc.record({ [field]: value })), fc.constant({}))
  if (name !== 'Compare') return fc.record(Object.fromEntries(fields), { requiredKeys: [] })
  const targets = ['version', 'createRevision', 'modRevision', 'value', 'lease']
  const rest = Object.fromEntries(fields.filter(([field]) => !targets.includes(field)))
  return fc.oneof(...fields.filter(([field]) => targets.includes(field)).map(([field, value]) => fc.record({ ...rest, [field]: value })))
}

function arbitraryScalar(type: string): fc.Arbitrary<unknown> {
  switch (type) {
    case 'bytes':
      return fc.uint8Array({ maxLength: 300 })
    case 'string':
      return fc.string({ unit: 'grapheme', maxLength: 150 })
    case 'bool':
      return fc.boolean()
    case 'enum':
      return fc.integer({ min: 0, max: 1 })
    case 'uint32':
      return fc.integer({ min: 0, max: 2 ** 32 - 1 })
    case 'id':
      return fc.maxSafeInteger().map(BigInt) // protobufjs has no larger ones without "long"; they are tested below
    case 'uid':
      return fc.maxSafeNat().map(BigInt)
    case 'uint64':
      return fc.maxSafeNat()
    default:
      return fc.maxSafeInteger()
  }
}

function isName(type: string): type is MessageName {
  return type in messages
}

/** With bytes as text, and without what is undefined. */
function canonical(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, field: unknown) => {
      if (field instanceof Uint8Array) return Buffer.from(field).toString('hex')
      return typeof field === 'bigint' ? `${field}n` : Object.is(field, -0) ? 0 : field
    }),
  )
}

function loadProtos(): protobuf.Root {
  const folder = join(dirname(createRequire(import.meta.url).resolve('etcd3/package.json')), 'proto')
  const loaded = new protobuf.Root()
  loaded.resolvePath = (_origin, target) => join(folder, target)
  loaded.loadSync(['rpc.proto', 'kv.proto'], { keepCase: true })
  loaded.resolveAll()
  return loaded
}

function lookup(name: string): protobuf.Type | undefined {
  for (const scope of ['etcdserverpb', 'mvccpb']) {
    const found = root.lookup(`${scope}.${name}`, protobuf.Type)
    if (found instanceof protobuf.Type) return found
  }
  return undefined
}

function findEnums(scope: protobuf.NamespaceBase): protobuf.Enum[] {
  return scope.nestedArray.flatMap((member) => {
    if (member instanceof protobuf.Enum) return [member]
    return member instanceof protobuf.Namespace ? findEnums(member) : []
  })
}

function findService(name: string): protobuf.Service | undefined {
  const found = root.lookup(name)
  return found instanceof protobuf.Service ? found : undefined
}

function describeOurs(field: string, spec: string): { name: string; number: number; type: string; repeated: boolean } {
  const words = spec.split(' ')
  const number = Number(words.pop())
  const type = words.pop() ?? ''
  const wire: Readonly<Record<string, string>> = { id: 'int64', clamped: 'int64', uid: 'uint64' }
  return { name: field === 'leaseId' ? 'lease' : normalize(field), number, type: wire[type] ?? type, repeated: words[0] === 'repeated' }
}

function describeTheirs(field: protobuf.Field): { name: string; number: number; type: string; repeated: boolean } {
  const type = field.resolvedType instanceof protobuf.Enum ? 'enum' : (field.resolvedType?.name ?? field.type)
  return { name: normalize(field.name), number: field.id, type, repeated: field.repeated }
}
