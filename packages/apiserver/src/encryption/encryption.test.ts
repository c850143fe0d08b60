import { decodeProtobuf, schemaOf } from '@k3s/api'
import { openDatastore, type Datastore } from '@k3s/datastore'
import { assert as check, constantFrom, property, string, uint8Array } from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { valueCipher } from './ciphers.ts'
import { parseEncryptionConfiguration } from './configuration.ts'
import { encryptedDatastore, isStale, reencrypt } from './encrypted-datastore.ts'
import { EncryptionAtRest } from './encryption-at-rest.ts'

const secret = Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')
const otherSecret = Buffer.from('fedcba9876543210fedcba9876543210').toString('base64')

interface Key {
  readonly name: string
  readonly secret: string
}

const config = (resources: readonly string[], ...providers: readonly object[]): string =>
  JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources: [{ resources, providers }] })
const provider = (type: string, ...keys: readonly Key[]): object => ({ [type]: { keys } })
const key1: Key = { name: 'key1', secret }
const key2: Key = { name: 'key2', secret: otherSecret }
const identity = { identity: {} }

/** What kube-apiserver 1.36.3 stored with key1. */
const recorded = [
  {
    type: 'aescbc',
    key: '/registry/secrets/default/theirs',
    value:
      'azhzOmVuYzphZXNjYmM6djE6a2V5MTqqniZO8TTwZ10kCgNBpdUal1CLf6HMHpPkHr/nye6+OBpsq3bZWQvDBW5m68je+PT4X1cEPpYe+NA7E402FSEf8Q7jbp4NOkfKgTP+fxMsdqqgWc9Up4jkaxlVPtsNTOfufI2apkVnzLodkVN7twVp/iVIqFxzOA8vyZXYRa4HWlxFtEtWszSiZkx3evTIxWMGRCiJaWgV/b9rXzu6OCoC2hzwrkNTj55GVUEKL9dgtmOl8Uh4Z51Pvg6W/4/XN/xiS3en/D5HxIdaRaZySKpTQM4k6c/Bs98cO2wEeiRn1S2BZb09p0ZROEr3XuPrqUwAOZwP9+RBn2c20VCbrl4WueMWsXiWLmDBAiTFvHzdTw==',
  },
  {
    type: 'aesgcm',
    key: '/registry/configmaps/default/theirs',
    value:
      'azhzOmVuYzphZXNnY206djE6a2V5MTrcXH+VEvs/sese5oFqQp39gjHcAqgyeer73M2+QOLpkewRlMWTuKrDSmqP+XR6LmUbmHxRAMQZ49NaIo8zmp++RKCxHN5t0HHDIPYxMrqSpBXnSO/OnaX0tB7C3iV3cBamgXmpqlzpDmuHzd7AA6jIlTSVahEjkRD8tE/esG6mahuNm4G8UUxZfm1JXrtfhZ6CskKGhnB86uwN+nh3VuF3J4OJfSzvpAJ0QqcmmUy85qpgDNtxq3WhNpQ3Guy9OFQT+6TxxO7Ds1lqEcp3cbEYAPIBfBzZoYNgC6HAsXNJmHKQlDjMOjVoCLysTVXTg48f',
  },
  {
    type: 'secretbox',
    key: '/registry/podtemplates/default/theirs',
    value:
      'azhzOmVuYzpzZWNyZXRib3g6djE6a2V5MToMuTMRqhaKrF3r5TafkuJ+RHag2FETk+vsZq5ZxwUXPgzqu8h6by8axqlmd2eqOq/n6SC7go2GB98E8OwvscGZjzuGHRCw3hVMaktQ2fes6SbrXWGEFD5P84sPdCGPYh8Zw0JTirTiKAq5u7PtpYJ0pIOucxYLdIQhtUxCvx9+8BUxHZru6EfvibFmmVDX7N2gxfeR075aPmGB9l9NKA5fdRBkJ/tVBsLk1Xj8tGR8jHwS72XinDHf74uw4rCwctilR3M9vacsP4ActawPMzc2VtinuSs6PHNq3+9mUW8mZ1tYxDhb6sR2sJOD2+OStdBO9w0ETrjwP+RllZXJ7t9mFBM7dglwhRohIOKmHNsEoWpo5O/uIk2vlVGsjdF+qfpAr0mO6jESiUjgjG9lhy8KIVwk7cOen4n85VlG/U8iX3ydaTczAKE8ENv8iwYGkbA7ohx9u7WzCzu+WmYTt8kj63CRwit/ikOOWvyTuEgLFJIHS1SquELGvAtV+x0T+YBJt2KJ0kbv0EHHZuAObgUtoCATz4UYarEJsm/dsElNDkWagu1orntrPZSUuV9XdkDwIb5DvhN07GRL4lfJaZ/BvM/LTntPAZ9MK3l7zQ8I3xgq1kj5HrW5k6OjbqINm6SphRGEESGohFdF9AsgAaun/ocGBdX5NnCynrIwaP8LmWfviTnCDdp/tKFfUsJ1ev/6AC6UOjpn8EKMkGYnGdeje9NT8N0gZx6N3fvrJNIuDezi1CBFEyAVvHrKIwMetqgsJRx4v45o2+pv19o5oEg1xBtZcHXKT17mwkLpg4wRre4kqqIIjy9mI4JRT5aGXPZ4DbOyDPEvxM1xDeJxCIGtWJ1BI+wUPsFsCOtcrbFtGc2K76zHLWIkmU/BmxWaLpSYmz6CQG4WMcS4P9ULGpCu/47IaG5wxrOjX0D31awShj6mTFdJCyitb4K89prXDBYtTRzvb0ZQCYTNKkdJnPqlzP/ybRQ=',
  },
]

async function memory(): Promise<Datastore> {
  const store = await openDatastore('memory:')
  onTestFinished(() => store[Symbol.asyncDispose]())
  return store
}

const name = Buffer.from('/registry/secrets/default/a')
const plain = Buffer.from('{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}')

describe('valueCipher()', () => {
  it.each(['aescbc', 'aesgcm', 'secretbox'] as const)('%s gives back what it was given, and never the same twice', (type) => {
    const cipher = valueCipher(type, Buffer.from(secret, 'base64'))
    check(
      property(uint8Array({ maxLength: 200 }), string(), (value, context) => {
        const sealed = cipher.encrypt(value, context)
        expect(cipher.decrypt(sealed, context)).toEqual(Buffer.from(value))
        expect(cipher.encrypt(value, context).equals(sealed)).toBe(false)
      }),
    )
  })

  it('tells of values that were changed or moved, where it can', () => {
    check(
      property(constantFrom('aesgcm', 'secretbox'), uint8Array({ minLength: 1, maxLength: 60 }), (type, value) => {
        const cipher = valueCipher(type === 'aesgcm' ? 'aesgcm' : 'secretbox', Buffer.from(secret, 'base64'))
        const sealed = cipher.encrypt(value, 'a')
        const last = sealed.length - 1
        sealed[last] = (sealed[last] ?? 0) ^ 1
        expect(() => cipher.decrypt(sealed, 'a')).toThrow()
      }),
    )
    const cipher = valueCipher('aesgcm', Buffer.from(secret, 'base64'))
    expect(() => cipher.decrypt(cipher.encrypt(plain, 'a'), 'b')).toThrow()
  })
})

describe('values of kube-apiserver', () => {
  it.each(recorded)('$type of $key', ({ type, key, value }) => {
    const resource = key.split('/')[2] ?? ''
    const encryption = new EncryptionAtRest(config([resource], provider(type, key2, key1), identity))
    const opened = encryption.transformerOf(key)?.open(Buffer.from(value, 'base64'), key) ?? new Uint8Array()
    const object = decodeProtobuf(opened, (head) => schemaOf(head.apiVersion, head.kind))
    expect(object['metadata']).toMatchObject({ name: 'theirs', namespace: 'default' })
    expect(JSON.stringify(object)).toMatch(/kube-apiserver|Ynkta3ViZS1hcGlzZXJ2ZXI=/)
  })
})

describe('EncryptionAtRest', () => {
  it('chooses the rules by group and resource, the first that name it', () => {
    const text = JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'EncryptionConfiguration',
      resources: [
        { resources: ['secrets', 'widgets.example.com'], providers: [provider('aescbc', key1)] },
        { resources: ['*.apps'], providers: [provider('aesgcm', key1)] },
        { resources: ['*.'], providers: [identity] },
      ],
    })
    const encryption = new EncryptionAtRest(text)
    const stored = (key: string): string | undefined => {
      const value = encryption.transformerOf(key)?.seal(plain, key)
      if (value === plain) return 'identity'
      return value === undefined ? undefined : Buffer.from(value).toString('latin1').split(':', 3)[2]
    }
    expect(stored('/registry/secrets/default/a')).toBe('aescbc')
    expect(stored('/registry/example.com/widgets/default/a')).toBe('aescbc')
    expect(stored('/registry/deployments/default/a')).toBe('aesgcm')
    expect(stored('/registry/services/specs/default/a')).toBe('identity')
    expect(stored('/registry/example.com/others/default/a')).toBeUndefined()
    expect(stored('/registry/jobs/default/a')).toBeUndefined()
    expect(stored('/bootstrap/x')).toBeUndefined()
  })

  it('keeps its rules when the new ones are wrong', () => {
    const encryption = new EncryptionAtRest(config(['secrets'], provider('aescbc', key1)))
    expect(() => encryption.replace('{}')).toThrow('must be a EncryptionConfiguration of apiserver.config.k8s.io/v1')
    expect(encryption.transformerOf('/registry/secrets/a/b')).toBeDefined()
  })
})

describe('parseEncryptionConfiguration()', () => {
  it.each([
    ['not even YAML: [', 'neither YAML nor JSON'],
    [config([], identity), 'resources[0].resources must not be empty'],
    [config(['secrets']), 'resources[0].providers must not be empty'],
    [config(['*'], identity), 'resources[0].resources[0] must be RESOURCE'],
    [config(['secrets', 'secrets'], identity), 'resources "secrets" is named twice'],
    [config(['secrets'], provider('aescbc')), 'resources[0].providers[0].aescbc.keys must not be empty'],
    [config(['secrets'], provider('aescbc', { name: '', secret })), 'keys[0].name must not be empty'],
    [config(['secrets'], provider('aescbc', { name: 'a', secret: '***' })), 'keys[0].secret must be base64'],
    [config(['secrets'], provider('secretbox', { name: 'a', secret: 'MDEy' })), 'keys[0].secret must be 32 bytes long and is 3'],
    [config(['secrets'], { kms: { name: 'x' } }), 'kms is not supported'],
    [config(['secrets'], { rot13: {} }), '"rot13" is no provider'],
  ])('refuses %s', (text, message) => {
    let thrown: unknown
    try {
      parseEncryptionConfiguration(text)
    } catch (error) {
      thrown = error
    }
    expect(String(thrown)).toContain(message)
    // Key material is in no message.
    expect(String(thrown)).not.toContain(secret)
  })
})

describe('encryptedDatastore()', () => {
  it('stores encrypted values and shows none, in every way of reading', async () => {
    const store = await memory()
    const encrypted = encryptedDatastore(store, new EncryptionAtRest(config(['secrets'], provider('secretbox', key1), identity)))
    const { revision } = await encrypted.create(name, plain)
    expect(Buffer.from((await store.get(name)).item?.value ?? []).toString('latin1')).toMatch(/^k8s:enc:secretbox:v1:key1:/)
    expect((await encrypted.get(name)).item?.value).toEqual(plain)
    expect((await encrypted.list({ start: name })).items[0]?.value).toEqual(plain)
    const next = Buffer.from('{"b":1}')
    await expect(encrypted.update(name, next, { expectedRevision: revision - 1 })).rejects.toMatchObject({
      code: 'RevisionConflict',
      current: { value: plain },
    })
    expect((await encrypted.update(name, next, { expectedRevision: revision })).previous?.value).toEqual(plain)
    const { results } = await encrypted.txn({
      compare: [],
      success: [
        { type: 'list', range: { start: name } },
        { type: 'put', key: name, value: plain, previous: true },
      ],
      failure: [],
    })
    expect(results).toMatchObject([{ result: { items: [{ value: next }] } }, { previous: { value: next } }])
    expect((await encrypted.delete(name)).previous?.value).toEqual(plain)
    const seen: unknown[] = []
    for await (const { events } of encrypted.watch({ start: name }, { fromRevision: revision, previous: true })) {
      for (const event of events) seen.push([event.type, Buffer.from(event.item.value).toString(), event.previous?.value.toString()])
      if (seen.length === 4) break
    }
    expect(seen).toEqual([
      ['put', plain.toString(), undefined],
      ['put', next.toString(), plain.toString()],
      ['put', plain.toString(), next.toString()],
      ['delete', '', plain.toString()],
    ])
  })

  it('says which key is missing or wrong', async () => {
    const store = await memory()
    await encryptedDatastore(store, new EncryptionAtRest(config(['secrets'], provider('aesgcm', key1)))).create(name, plain)
    const read = (...providers: readonly object[]) =>
      encryptedDatastore(store, new EncryptionAtRest(config(['secrets'], ...providers))).get(name)
    await expect(read(identity)).rejects.toThrow(
      'Cannot decrypt "/registry/secrets/default/a": no provider of the encryption configuration has the key "key1" of aesgcm',
    )
    await expect(read(provider('aesgcm', { name: 'key1', secret: otherSecret }))).rejects.toThrow(
      'Cannot decrypt "/registry/secrets/default/a": the key "key1" of aesgcm is not the one that it was encrypted with',
    )
  })

  it('is written anew with the first key, and left alone where it is', async () => {
    const store = await memory()
    const encryption = new EncryptionAtRest(config(['secrets'], provider('aescbc', key1), identity))
    const encrypted = encryptedDatastore(store, encryption)
    for (let index = 0; index < 250; index++) await encrypted.create(Buffer.from(`/registry/secrets/default/s${index}`), plain)
    await store.create(name, plain)
    await store.create(Buffer.from('/registry/secretsx/default/a'), plain)
    expect(await isStale(store, encryption, name.toString())).toBe(true)
    expect(await reencrypt(store, encryption, '/registry/secrets/')).toEqual({ seen: 251, written: 1 })
    encryption.replace(config(['secrets'], provider('aescbc', key2, key1), identity))
    expect(await reencrypt(store, encryption, '/registry/secrets/')).toEqual({ seen: 251, written: 251 })
    expect(await reencrypt(store, encryption, '/registry/secrets/')).toEqual({ seen: 251, written: 0 })
    expect(await isStale(store, encryption, name.toString())).toBe(false)
    encryption.replace(config(['secrets'], provider('aescbc', key2)))
    expect((await encrypted.get(name)).item?.value).toEqual(plain)
  })
})
