import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encryptedDatastore } from '@k3s/apiserver'
import { openDatastore, type Datastore } from '@k3s/datastore'
import { noLogger } from '@k3s/lifecycle'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import {
  encryptionHash,
  planChange,
  planFinished,
  readEncryptionConfig,
  renderEncryptionConfig,
  type SecretsEncryptionState,
} from './encryption-plan.ts'
import { SecretsEncryption } from './secrets-encryption.ts'

const key = (name: string) => ({ name, secret: Buffer.from(name.padEnd(32, '.')).toString('base64') })
const start: SecretsEncryptionState = { stage: 'start', enabled: true, cipher: 'aescbc', keys: [key('a')] }
const names = ({ keys }: SecretsEncryptionState): string => keys.map(({ name }) => name).join(' ')

describe('planChange()', () => {
  it('goes through the stages of K3s', () => {
    const newKey = () => key('b')
    const prepared = planChange(start, { stage: 'prepare' }, newKey)
    expect([prepared.state.stage, names(prepared.state), prepared.reencrypts]).toEqual(['prepare', 'a b', false])
    const rotated = planChange(prepared.state, { stage: 'rotate' }, newKey)
    expect([rotated.state.stage, names(rotated.state), rotated.reencrypts]).toEqual(['rotate', 'b a', false])
    const requested = planChange(rotated.state, { stage: 'reencrypt_request' }, newKey)
    expect([requested.state.stage, names(requested.state), requested.reencrypts]).toEqual(['reencrypt_request', 'b a', true])
    expect(names(planFinished(requested.state, false))).toBe('b')
    expect(names(planFinished(requested.state, true))).toBe('b a')
    const all = planChange(start, { stage: 'rotate_keys' }, newKey)
    expect([names(all.state), all.reencrypts]).toEqual(['b a', true])
  })

  it('refuses what is out of order, unless it is forced', () => {
    expect(() => planChange(start, { stage: 'rotate' }, () => key('b'))).toThrow('Cannot rotate: incorrect stage: start found')
    expect(() => planChange({ ...start, stage: 'prepare' }, { stage: 'prepare' }, () => key('b'))).toThrow('incorrect stage: prepare found')
    expect(planChange({ ...start, stage: 'prepare' }, { stage: 'prepare', force: true }, () => key('b')).state.stage).toBe('prepare')
    expect(() => planChange({ ...start, stage: 'prepare' }, { enable: false }, () => key('b'))).toThrow('Cannot disable')
    expect(() => planChange({ ...start, enabled: false }, { stage: 'rotate_keys' }, () => key('b'))).toThrow('disabled')
  })
})

describe('encryption-config.json', () => {
  it('is K3s’s, and is read back', () => {
    const text = renderEncryptionConfig(start)
    expect(JSON.parse(text)).toEqual({
      kind: 'EncryptionConfiguration',
      apiVersion: 'apiserver.config.k8s.io/v1',
      resources: [{ resources: ['secrets'], providers: [{ aescbc: { keys: [key('a')] } }, { identity: {} }] }],
    })
    expect(readEncryptionConfig(text, 'start')).toEqual(start)
    const disabled = { ...start, enabled: false }
    expect(readEncryptionConfig(renderEncryptionConfig(disabled), 'start')).toEqual(disabled)
    expect(encryptionHash('start', text)).toMatch(/^start-[0-9a-f]{64}$/)
  })
})

describe('SecretsEncryption', () => {
  const folder = (): string => {
    const path = mkdtempSync(join(tmpdir(), 'k3s-encryption-'))
    onTestFinished(() => rmSync(path, { recursive: true }))
    return path
  }
  const memory = async (): Promise<Datastore> => {
    const store = await openDatastore('memory:')
    onTestFinished(() => store[Symbol.asyncDispose]())
    return store
  }
  const make = (serverDir: string, datastore: Datastore, isWanted = true): SecretsEncryption =>
    new SecretsEncryption({ serverDir, datastore, isWanted, cipher: 'aescbc', logger: noLogger })
  const secretKey = Buffer.from('/registry/secrets/default/a')
  const rawOf = async (datastore: Datastore): Promise<string> =>
    Buffer.from((await datastore.get(secretKey)).item?.value ?? []).toString('latin1')

  it('does nothing unless it is wanted or was', async () => {
    const [serverDir, datastore] = [folder(), await memory()]
    const none = make(serverDir, datastore, false)
    expect(none.atRest).toBeUndefined()
    expect(await none.status()).toEqual({ stage: 'start', hashmatch: true })
    expect(() => none.change({ stage: 'rotate_keys' })).toThrow('without --secrets-encryption')
    make(serverDir, datastore)
    expect(make(serverDir, datastore, false).atRest).toBeDefined()
  })

  it('rotates keys at once and keeps only the new one', async () => {
    const [serverDir, datastore] = [folder(), await memory()]
    const encryption = make(serverDir, datastore)
    if (encryption.atRest === undefined) throw new Error('encryption is on')
    const store = encryptedDatastore(datastore, encryption.atRest)
    await store.create(secretKey, Buffer.from('plain'))
    const before = await rawOf(datastore)
    expect(before).toMatch(/^k8s:enc:aescbc:v1:aescbckey:/)
    encryption.change({ stage: 'rotate_keys' })
    await vi.waitFor(async () => expect((await encryption.status()).stage).toBe('reencrypt_finished'))
    const { activekey, inactivekeys } = await encryption.status()
    expect(activekey).toMatch(/^AES-CBC aescbckey-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(inactivekeys).toBeUndefined()
    expect(await rawOf(datastore)).toContain(`:${activekey?.split(' ')[1] ?? ''}:`)
    expect(Buffer.from((await store.get(secretKey)).item?.value ?? []).toString()).toBe('plain')
    expect(() => encryption.change({ stage: 'nonsense' })).toThrow('unknown stage')
  })

  it('goes on where a crash stopped it: every key is in the file as long as it is needed', async () => {
    const [serverDir, datastore] = [folder(), await memory()]
    const first = make(serverDir, datastore)
    if (first.atRest === undefined) throw new Error('encryption is on')
    await encryptedDatastore(datastore, first.atRest).create(secretKey, Buffer.from('plain'))
    // The new key is written, nothing is encrypted with it yet.
    const file = join(serverDir, 'cred/encryption-config.json')
    const state = readEncryptionConfig(readFileSync(file, 'utf8'), 'start')
    const { state: next } = planChange(state, { stage: 'rotate_keys' }, () => key('new'))
    writeFileSync(file, renderEncryptionConfig(next))
    writeFileSync(join(serverDir, 'cred/encryption-state.json'), JSON.stringify({ stage: 'reencrypt_active' }))
    const second = make(serverDir, datastore)
    expect((await second.status()).inactivekeys).toEqual(['AES-CBC aescbckey'])
    second.resume()
    await vi.waitFor(async () => expect((await second.status()).stage).toBe('reencrypt_finished'))
    expect(await rawOf(datastore)).toMatch(/^k8s:enc:aescbc:v1:new:/)
  })
})
