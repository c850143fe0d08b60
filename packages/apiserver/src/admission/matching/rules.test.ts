import { describe, expect, it } from 'vitest'
import { matchesRule } from './rules.ts'

const deployments = { group: 'apps', version: 'v1', resource: 'deployments' }
const namespaces = { group: '', version: 'v1', resource: 'namespaces' }
const request = { operation: 'CREATE', subresource: '', namespace: 'a' } as const
const rule = { operations: ['CREATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] }

describe('matchesRule()', () => {
  it.each([
    ['what it names', {}, {}, true],
    ['another operation', { operations: ['UPDATE'] }, {}, false],
    ['every operation', { operations: ['*'] }, {}, true],
    ['another group', { apiGroups: [''] }, {}, false],
    ['another version', { apiVersions: ['v1beta1'] }, {}, false],
    ['wildcards', { apiGroups: ['*'], apiVersions: ['*'], resources: ['*'] }, {}, true],
    ['a subresource that it does not name', {}, { subresource: 'scale' }, false],
    ['a subresource that it names', { resources: ['deployments/scale'] }, { subresource: 'scale' }, true],
    ['all subresources, and the object itself', { resources: ['deployments/*'] }, {}, true],
    ['a subresource of anything', { resources: ['*/scale'] }, { subresource: 'scale' }, true],
    ['`*` without subresources', { resources: ['*'] }, { subresource: 'scale' }, false],
    ['everything', { resources: ['*/*'] }, { subresource: 'scale' }, true],
    ['things in namespaces', { scope: 'Namespaced' }, {}, true],
    ['things in none', { scope: 'Cluster' }, {}, false],
    ['things in none', { scope: 'Cluster' }, { namespace: '' }, true],
    ['a scope that nobody knows', { scope: 'Other' }, {}, false],
  ])('%s: %j %j', (_what, more, asked, expected) => {
    expect(matchesRule({ ...rule, ...more }, { ...request, ...asked }, deployments)).toBe(expected)
  })

  it('takes a Namespace for what is in no namespace, though its requests carry its name', () => {
    const all = { ...rule, apiGroups: [''], resources: ['namespaces'] }
    expect(matchesRule({ ...all, scope: 'Cluster' }, request, namespaces)).toBe(true)
    expect(matchesRule({ ...all, scope: 'Namespaced' }, request, namespaces)).toBe(false)
  })
})
