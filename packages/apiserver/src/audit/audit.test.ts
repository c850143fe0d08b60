import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseRequestInfo } from '../http/request-info.ts'
import { AuditFile } from './audit-file.ts'
import { decideAudit, parseAuditPolicy } from './policy.ts'

const policyText = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  users: [system:kube-proxy]
  verbs: [watch]
- level: Metadata
  resources:
  - {group: '', resources: [secrets, '*/log', 'services/*']}
  - {group: apps}
- level: RequestResponse
  omitManagedFields: true
  omitStages: [ResponseStarted]
  namespaces: [kube-system]
- level: None
  nonResourceURLs: ['/healthz*', /version]
- level: Request
  resources:
  - {group: '*', resources: [configmaps], resourceNames: [one]}
- level: Metadata
  userGroups: [auditors]
`

describe('audit policy', () => {
  const policy = parseAuditPolicy(policyText)
  const level = (method: string, path: string, user = 'jane', groups: readonly string[] = []): string =>
    decideAudit(policy, parseRequestInfo(method, path, new URLSearchParams()), { name: user, groups }).level

  it.each([
    ['GET', '/api/v1/namespaces/a/secrets/x', 'Metadata'],
    ['GET', '/api/v1/namespaces/a/pods/x/log', 'Metadata'],
    ['GET', '/api/v1/namespaces/a/services/x/proxy', 'Metadata'],
    ['GET', '/apis/apps/v1/deployments', 'Metadata'],
    ['GET', '/api/v1/namespaces/kube-system/pods', 'RequestResponse'],
    ['PUT', '/api/v1/namespaces/a/configmaps/one', 'Request'],
    ['PUT', '/api/v1/namespaces/a/configmaps/two', 'None'],
    ['GET', '/healthz/etcd', 'None'],
    ['GET', '/metrics', 'None'],
  ])('%s %s: %s', (method, path, expected) => {
    expect(level(method, path)).toBe(expected)
  })

  it('takes the first rule, and nothing when there is none', () => {
    expect(level('GET', '/api/v1/watch/namespaces/kube-system/endpoints', 'system:kube-proxy')).toBe('None')
    expect(level('GET', '/api/v1/watch/namespaces/kube-system/endpoints')).toBe('RequestResponse')
    expect(level('GET', '/metrics', 'jane', ['auditors'])).toBe('Metadata')
    const decision = decideAudit(policy, parseRequestInfo('GET', '/api/v1/namespaces/kube-system/pods', new URLSearchParams()), {
      name: 'jane',
      groups: [],
    })
    expect([...decision.omitStages]).toEqual(['RequestReceived', 'ResponseStarted'])
    expect(decision.omitManagedFields).toBe(true)
  })

  it.each([
    ['[', 'neither YAML nor JSON'],
    ['{}', 'must be a Policy of audit.k8s.io/v1'],
    ['{apiVersion: audit.k8s.io/v1, kind: Policy}', 'rules must not be empty'],
    ['{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: All}]}', 'rules[0].level must be one of'],
    ['{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, omitStages: [End]}]}', 'rules[0].omitStages must be of'],
    [
      '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: None, namespaces: [a], nonResourceURLs: [/a]}]}',
      'rules cannot apply to both',
    ],
  ])('refuses %s', (text, message) => {
    expect(() => parseAuditPolicy(text)).toThrow(message)
  })
})

describe('AuditFile', () => {
  it('appends lines, begins a new file when it has grown, and keeps so many old ones', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'audit-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'logs/audit.log')
    const line = 'x'.repeat(300 * 1024)
    {
      await using file = await AuditFile.open({ path, maxSizeMb: 1, maxBackups: 2 })
      for (let index = 0; index < 14; index++) {
        expect(file.write(`${index} ${line}`)).toBe(true)
        // Old files are named after milliseconds.
        await new Promise((resolve) => setTimeout(resolve, 3))
      }
    }
    const names = readdirSync(join(folder, 'logs')).toSorted()
    expect(names).toHaveLength(3)
    expect(names[0]).toMatch(/^audit-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log$/)
    const numbers = names.flatMap((name) =>
      readFileSync(join(folder, 'logs', name), 'utf8')
        .trimEnd()
        .split('\n')
        .map((text) => Number(text.split(' ')[0])),
    )
    // Two old files of three lines, and the rest.
    expect(numbers).toEqual([6, 7, 8, 9, 10, 11, 12, 13])
    writeFileSync(path, '')
  })
})
