import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { noLogger } from '@k3s/lifecycle'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { openAudit, openEncryptionConfig, parseApiServerArgs } from './apiserver-args.ts'

describe('--kube-apiserver-arg', () => {
  it('is read, the last of a name', () => {
    expect(parseApiServerArgs(['audit-log-path=/a', 'audit-log-path=/b=c', '--audit-log-maxsize=5'])).toEqual({
      auditPolicyFile: undefined,
      auditLogPath: '/b=c',
      auditLogMaxAgeDays: 0,
      auditLogMaxBackups: 0,
      auditLogMaxSizeMb: 5,
      encryptionConfigFile: undefined,
    })
  })

  it.each([
    ['anonymous-auth=true', 'Cannot use "anonymous-auth=true" for --kube-apiserver-arg: NAME=VALUE is needed, of audit-policy-file'],
    ['audit-log-path', 'Cannot use "audit-log-path"'],
    ['audit-log-maxage=soon', 'Cannot use "soon" for --kube-apiserver-arg=audit-log-maxage: a whole number is needed'],
  ])('refuses %s', (arg, message) => {
    expect(() => parseApiServerArgs([arg])).toThrow(message)
  })

  it('opens what it names, and says what is wrong with it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'k3s-args-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const written: string[] = []
    await using stack = new AsyncDisposableStack()
    const io = { stdout: { write: (text: string) => written.push(text) }, logger: noLogger, stack }
    const policy = join(folder, 'policy.yaml')
    const open = (...args: readonly string[]) => openAudit(parseApiServerArgs(args), io)
    expect(await open('audit-log-path=-')).toBeUndefined()
    await expect(open('audit-log-path=-', `audit-policy-file=${policy}`)).rejects.toThrow('the file does not exist')
    writeFileSync(policy, '{}')
    await expect(open('audit-log-path=-', `audit-policy-file=${policy}`)).rejects.toThrow('must be a Policy of audit.k8s.io/v1')
    writeFileSync(policy, '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}')
    const audit = await open('audit-log-path=-', `audit-policy-file=${policy}`)
    audit?.sinks[0]?.write('{}')
    expect(written).toEqual(['{}\n'])
    expect(openEncryptionConfig(parseApiServerArgs([]), io)).toBeUndefined()
    expect(() => openEncryptionConfig(parseApiServerArgs([`encryption-provider-config=${policy}`]), io)).toThrow(
      'must be a EncryptionConfiguration',
    )
    const config = join(folder, 'encryption.json')
    const render = (name: string): string =>
      JSON.stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'EncryptionConfiguration',
        resources: [{ resources: ['secrets'], providers: [{ aescbc: { keys: [{ name, secret: Buffer.alloc(32).toString('base64') }] } }] }],
      })
    writeFileSync(config, render('key1'))
    const encryption = openEncryptionConfig(parseApiServerArgs([`encryption-provider-config=${config}`]), io)
    const sealed = (): string =>
      Buffer.from(encryption?.transformerOf('/registry/secrets/a/b')?.seal(Buffer.from('x'), '/registry/secrets/a/b') ?? []).toString(
        'latin1',
      )
    expect(sealed()).toMatch(/^k8s:enc:aescbc:v1:key1:/)
    writeFileSync(config, render('key22'))
    await vi.waitFor(() => expect(sealed()).toMatch(/^k8s:enc:aescbc:v1:key22:/), { timeout: 20_000, interval: 100 })
  })
})
