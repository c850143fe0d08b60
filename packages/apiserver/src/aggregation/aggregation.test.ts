import type { APIService } from '@k3s/api/types/apiregistration/v1'
import type { CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'
import { groupInfos } from '@k3s/api'
import { describe, expect, it } from 'vitest'
import { managedLabel, planLocalServices, wantedServices, type LocalServicesState } from './local-services.ts'
import { builtInPriority, rankGroups, type RankedVersion } from './priorities.ts'
import { proxyHeaders } from './proxy-headers.ts'
import { mergeParts } from './remote-open-api.ts'
import { trustData } from './trust-config.ts'

describe('rankGroups()', () => {
  const of = (group: string, version: string, priority: number, versionPriority = 100): RankedVersion => ({
    group,
    version,
    priority: { group: priority, version: versionPriority },
  })

  it('knows all built-in groups, and leaves them in the order of discovery', () => {
    const all = groupInfos().flatMap(({ group, versions }) =>
      versions.map((version) => ({ group, version, priority: builtInPriority(group, version) ?? { group: 0, version: 0 } })),
    )
    expect(all.filter(({ priority }) => priority.group === 0)).toEqual([])
    const others = groupInfos().filter(({ group }) => group !== '')
    expect(rankGroups(all, 'service').flatMap(({ group }) => (group === '' ? [] : [group]))).toEqual(others.map(({ group }) => group))
  })

  it('puts groups of one rank by the names of their services or their own, versions by rank and age', () => {
    const versions = [
      of('b', 'v1', 1000),
      of('a', 'v2', 1000),
      of('c', 'v1alpha1', 2000),
      of('a', 'v2beta1', 1000),
      of('a', 'v1', 900, 200),
    ]
    expect(rankGroups(versions, 'service').map(({ group }) => group)).toEqual(['c', 'b', 'a'])
    const byGroup = rankGroups(versions, 'group')
    expect(byGroup.map(({ group }) => group)).toEqual(['c', 'a', 'b'])
    expect(byGroup[1]?.versions.map(({ version }) => version)).toEqual(['v1', 'v2', 'v2beta1'])
  })
})

describe('planLocalServices()', () => {
  const service = (label: string | undefined, priority = 1): APIService => ({
    metadata: { name: 'v1.a', uid: 'u', ...(label === undefined ? {} : { labels: { [managedLabel]: label } }) },
    spec: { group: 'a', version: 'v1', groupPriorityMinimum: priority, versionPriority: 1 },
  })
  const plan = (desired: APIService | undefined, current: APIService | undefined, more: Partial<LocalServicesState> = {}) =>
    planLocalServices({
      wanted: new Map(desired === undefined ? [] : [['v1.a', desired]]),
      present: new Map(current === undefined ? [] : [['v1.a', current]]),
      atStart: new Set(),
      settled: new Set(),
      ...more,
    }).map(({ action }) => action)
  const atStart = new Set(['v1.a'])
  const settled = new Set(['v1.a'])

  it.each<[string, ReturnType<typeof plan>, string[]]>([
    ['creates what is missing', plan(service('onstart'), undefined), ['create']],
    ['once, of what is kept at the start', plan(service('onstart'), undefined, { settled }), []],
    ['again, of what is kept always', plan(service('true'), undefined, { settled }), ['create']],
    ['leaves what somebody else wrote', plan(service('true'), service(undefined, 2)), []],
    ['corrects at the start what is kept then', plan(service('onstart'), service('onstart', 2), { atStart }), ['update']],
    ['and no later', plan(service('onstart'), service('onstart', 2)), []],
    ['corrects what is kept always', plan(service('true'), service('true', 2), { settled }), ['update']],
    ['deletes what is served no more', plan(undefined, service('true')), ['delete']],
    ['also what an older server left', plan(undefined, service('onstart'), { atStart }), ['delete']],
    ['has nothing to do when all is well', plan(service('true'), service('true')), []],
  ])('%s', (_name, actions, expected) => {
    expect(actions).toEqual(expected)
  })

  it('wants a service for every version that is served', () => {
    const definition = {
      metadata: { name: 'x.example.com' },
      spec: {
        group: 'example.com',
        versions: [
          { name: 'v1', served: true },
          { name: 'v2', served: false },
        ],
      },
    } as unknown as CustomResourceDefinition // what is looked at
    expect([
      ...wantedServices(
        [
          { group: '', versions: ['v1'] },
          { group: 'apiregistration.k8s.io', versions: ['v1'] },
        ],
        [definition],
      ).keys(),
    ]).toEqual(['v1.example.com', 'v1.'])
  })
})

describe('proxyHeaders()', () => {
  it('tells names in UTF-8 and keys percent-encoded', () => {
    expect(proxyHeaders({ name: 'Zoë', uid: '1', groups: ['a', 'b'], extra: { 'x/Y %': ['v'] } })).toEqual({
      'x-remote-user': Buffer.from('Zoë').toString('latin1'),
      'x-remote-uid': '1',
      'x-remote-group': ['a', 'b'],
      'x-remote-extra-x%2FY%20%25': ['v'],
    })
  })

  it.each([
    { name: 'a\r\nX-Remote-Group: system:masters', groups: [] },
    { name: 'a', groups: ['b\n'] },
    { name: 'a', groups: [], extra: { k: ['\0'] } },
  ])('refuses what could begin another header: %j', (user) => {
    expect(() => proxyHeaders(user)).toThrow('control characters')
  })
})

describe('mergeParts()', () => {
  const ref = (name: string) => ({ $ref: `#/definitions/${name}` })
  it('keeps what says the same, and gives what does not another name', () => {
    const known = { Same: { type: 'string' }, Other: { type: 'string' } }
    const part = {
      paths: { '/a': { get: ref('Other') } },
      definitions: {
        Same: { type: 'string', 'x-kubernetes-group-version-kind': [] },
        Other: { type: 'object', properties: { a: ref('Same'), b: ref('Other') } },
      },
    }
    expect(mergeParts(known, [part, part])).toEqual({
      paths: { '/a': { get: ref('Other_v2') } },
      definitions: { Other_v2: { type: 'object', properties: { a: ref('Same'), b: ref('Other_v2') } } },
    })
  })
})

describe('trustData()', () => {
  const pem = (text: string): string => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`
  const requestHeader = {
    clientCa: () => pem('P'),
    allowedNames: ['p'],
    usernameHeaders: ['x-remote-user'],
    groupHeaders: [],
    extraHeaderPrefixes: [],
  }

  it('joins what other servers wrote with what is ours, without what has expired', () => {
    const present = {
      'client-ca-file': pem('OLD') + pem('B'),
      'requestheader-allowed-names': '["other"]',
      'requestheader-username-headers': 'broken',
    }
    expect(trustData(present, { clientCa: () => pem('A'), requestHeader }, (text) => text.includes('OLD'))).toEqual({
      'client-ca-file': pem('B') + pem('A'),
      'requestheader-client-ca-file': pem('P'),
      'requestheader-allowed-names': '["other","p"]',
      'requestheader-username-headers': '["X-Remote-User"]',
      'requestheader-group-headers': '[]',
      'requestheader-extra-headers-prefix': '[]',
    })
  })

  it('says nothing of front proxies when there are none', () => {
    expect(trustData({}, { clientCa: () => pem('A'), requestHeader: undefined }, () => false)).toEqual({ 'client-ca-file': pem('A') })
  })
})
