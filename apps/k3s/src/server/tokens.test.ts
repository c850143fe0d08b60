import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCa } from '@k3s/pki'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { FatalError, UsageError } from '../errors.ts'
import { ensureTokens } from './tokens.ts'

let ca: string
let folder: string
beforeAll(async () => {
  ca = (await createCa('test')).cert
})
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tokens-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const none = { token: undefined, agentToken: undefined }
const text = (name: string): string => readFileSync(join(folder, name), 'utf8')

describe('ensureTokens()', () => {
  it('makes a password, keeps it, and writes K3s’s files, closed to others', () => {
    const made = ensureTokens(folder, ca, none)
    expect(made.node).toBe(made.server)
    expect(ensureTokens(folder, ca, none)).toEqual(made)
    expect(text('token')).toMatch(new RegExp(`^K10[0-9a-f]{64}::server:${made.server}\\n$`))
    expect(text('node-token')).toBe(text('token'))
    expect(text('agent-token')).toBe(text('token'))
    expect(readlinkSync(join(folder, 'node-token'))).toBe('token')
    expect(text('cred/passwd')).toBe(`${made.server},server,server,k3s:server\n${made.server},node,node,k3s:agent\n`)
    expect(statSync(join(folder, 'token')).mode & 0o777).toBe(0o600)
  })

  it('takes the password that is given, in each of its forms', () => {
    expect(ensureTokens(folder, ca, { ...none, token: 'secret' }).server).toBe('secret')
    expect(ensureTokens(folder, ca, { ...none, token: text('token') }).server).toBe('secret')
    expect(ensureTokens(folder, ca, none).server).toBe('secret')
  })

  it('refuses another password than the cluster has, and changes nothing', () => {
    ensureTokens(folder, ca, { ...none, token: 'secret' })
    expect(() => ensureTokens(folder, ca, { ...none, token: 'other' })).toThrow(FatalError)
    expect(ensureTokens(folder, ca, none).server).toBe('secret')
  })

  it('keeps a password of its own for agents, once it was given', () => {
    expect(ensureTokens(folder, ca, { token: 'secret', agentToken: 'agents' })).toEqual({ server: 'secret', node: 'agents' })
    expect(text('agent-token')).toMatch(/::node:agents\n$/)
    expect(ensureTokens(folder, ca, none)).toEqual({ server: 'secret', node: 'agents' })
  })

  it('names the flag of a token that is no password', () => {
    expect(() => ensureTokens(folder, ca, { ...none, token: 'abcdef.0123456789abcdef' })).toThrow(
      new UsageError('Cannot use a bootstrap token for --token: give a password'),
    )
    expect(() => ensureTokens(folder, ca, { ...none, token: 'K10abc::x' })).toThrow(UsageError)
  })
})
