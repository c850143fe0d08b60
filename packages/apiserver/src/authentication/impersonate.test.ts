import { describe, expect, it } from 'vitest'
import type { AccessAttributes, Authorizer, UserInfo } from '../auth/auth.ts'
import { separateHeaders } from './header-values.ts'
import { impersonate } from './impersonate.ts'

const joe: UserInfo = { name: 'joe', groups: ['dev'] }
const request = {
  verb: 'list',
  isResource: true,
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  namespace: 'a',
  name: '',
  path: '/api/v1/namespaces/a/pods',
}

/** Allows what is listed as `VERB RESOURCE[/SUBRESOURCE] NAME`, and notes what was asked. */
function authorizerOf(...allowed: readonly string[]): Authorizer & { readonly asked: AccessAttributes[] } {
  const asked: AccessAttributes[] = []
  return {
    name: 'Test',
    asked,
    authorize: (attributes) => {
      asked.push(attributes)
      const { verb, resource, subresource, name } = attributes
      const text = `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`} ${name}`.trim()
      return { decision: allowed.includes(text) ? 'allow' : 'noOpinion', reason: '' }
    },
  }
}

const ask = async (headers: Record<string, string | readonly string[]>, authorizer: Authorizer, user = joe): Promise<UserInfo> =>
  (await impersonate(user, headers, { authorizers: [authorizer], request }))?.user ?? user

describe('impersonate()', () => {
  it('leaves who asks for nothing as they are', async () => {
    expect(await ask({}, authorizerOf())).toBe(joe)
  })

  it('asks for every part of the user by the right to be anybody', async () => {
    const authorizer = authorizerOf('impersonate users ada', 'impersonate groups a,b', 'impersonate uids 7', 'impersonate userextras/k v')
    const headers = { 'impersonate-user': 'ada', 'impersonate-group': 'a,b', 'impersonate-uid': '7', 'impersonate-extra-k': 'v' }
    expect(await ask(headers, authorizer)).toEqual({ name: 'ada', uid: '7', groups: ['a,b', 'system:authenticated'], extra: { k: ['v'] } })
    expect(authorizer.asked.find(({ resource }) => resource === 'users')).toMatchObject({ group: '', version: 'v1', user: joe })
  })

  it('is enough of a right to be one user in one kind of request', async () => {
    const authorizer = authorizerOf('impersonate-on:user-info:list pods', 'impersonate:user-info users ada')
    expect(await ask({ 'impersonate-user': 'ada' }, authorizer)).toEqual({
      name: 'ada',
      uid: undefined,
      extra: undefined,
      groups: ['system:authenticated'],
    })
    expect(authorizer.asked.at(-1)).toMatchObject({ group: 'authentication.k8s.io', resource: 'users' })
  })

  it.each([
    [{ 'impersonate-group': 'system:masters' }, 'impersonating the system:masters group is not allowed'],
    [{ 'impersonate-extra-plain': 'x' }, 'impersonating an invalid key in extra is not allowed'],
    [{ 'impersonate-extra-a%2fb': '' }, 'impersonating the empty string value in extra is not allowed'],
  ])('is no right to be somebody with %j', async (headers, message) => {
    const authorizer = authorizerOf('impersonate-on:user-info:list pods', 'impersonate:user-info users ada')
    await expect(ask({ 'impersonate-user': 'ada', ...headers }, authorizer)).rejects.toMatchObject({
      code: 403,
      message: expect.stringContaining(message) as string,
    })
  })

  it('of a service account gives its groups', async () => {
    const authorizer = authorizerOf('impersonate-on:serviceaccount:list pods', 'impersonate:serviceaccount serviceaccounts robot')
    expect((await ask({ 'impersonate-user': 'system:serviceaccount:a:robot' }, authorizer)).groups).toEqual([
      'system:serviceaccounts',
      'system:serviceaccounts:a',
      'system:authenticated',
    ])
  })

  it('of the node that a pod runs on is a right of its own', async () => {
    const extra = { 'authentication.kubernetes.io/node-name': ['n1'] }
    const robot: UserInfo = { name: 'system:serviceaccount:a:robot', groups: [], extra }
    const rights = ['impersonate-on:associated-node:list pods', 'impersonate:associated-node nodes *']
    const authorizer = authorizerOf(...rights)
    expect((await ask({ 'impersonate-user': 'system:node:n1' }, authorizer, robot)).groups).toEqual([
      'system:nodes',
      'system:authenticated',
    ])
    expect(authorizer.asked[0]?.user.extra).toEqual({
      'authentication.kubernetes.io/associated-node-keys': ['authentication.kubernetes.io/node-name'],
    })
    await expect(ask({ 'impersonate-user': 'system:node:n2' }, authorizerOf(...rights), robot)).rejects.toMatchObject({ code: 403 })
  })

  it('tells the first right that is missing', async () => {
    await expect(ask({ 'impersonate-user': 'ada' }, authorizerOf())).rejects.toMatchObject({
      message: 'pods is forbidden: User "joe" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "a"',
    })
  })

  it('needs a name', async () => {
    await expect(ask({ 'impersonate-group': ['a', 'b'] }, authorizerOf())).rejects.toMatchObject({
      code: 400,
      message:
        'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"a", "b"}, Extra:map[string][]string(nil)} without impersonating a user name',
    })
  })
})

describe('separateHeaders()', () => {
  it('keeps values apart that came apart, and together that came together', () => {
    const headers = { 'x-remote-group': 'a,b, c', accept: '*/*' }
    expect(separateHeaders(headers, ['X-Remote-Group', 'a,b', 'Accept', '*/*', 'x-remote-group', 'c'])).toEqual({
      'x-remote-group': ['a,b', 'c'],
      accept: '*/*',
    })
    expect(separateHeaders(headers, ['Accept', '*/*'])).toBe(headers)
  })
})
