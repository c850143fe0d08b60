import { badRequest } from '@k3s/api'
import type { Authorizer, Credentials, UserInfo } from '../auth/auth.ts'
import { authorize } from '../pipeline/authorize.ts'
import { extraOf } from './request-header.ts'

const userHeader = 'impersonate-user'
const groupHeader = 'impersonate-group'
const uidHeader = 'impersonate-uid'
const extraPrefix = 'impersonate-extra-'

const serviceAccountPattern = /^system:serviceaccount:([^:]+):([^:]+)$/

/** The user as whom the request wants to act, after checking that its own user may. The user itself when it asks for nothing. Throws Forbidden and BadRequest. */
export async function impersonate(user: UserInfo, headers: Credentials['headers'], authorizers: readonly Authorizer[]): Promise<UserInfo> {
  const name = single(headers[userHeader])
  const groups = listOf(headers[groupHeader])
  const uid = single(headers[uidHeader])
  const extra = extraOf(headers, [extraPrefix])
  if (name === undefined) {
    if (groups.length > 0 || uid !== undefined || extra !== undefined)
      throw badRequest('requested impersonation of groups, uid or extra without impersonating a user')
    return user
  }
  const account = serviceAccountPattern.exec(name)
  const [, namespace = '', accountName = ''] = account ?? []
  const may = (what: {
    readonly group?: string
    readonly resource: string
    readonly subresource?: string
    readonly name: string
    readonly namespace?: string
  }) =>
    authorize(authorizers, {
      user,
      verb: 'impersonate',
      isResource: true,
      group: what.group ?? '',
      version: what.group === undefined ? 'v1' : '*',
      resource: what.resource,
      subresource: what.subresource ?? '',
      namespace: what.namespace ?? '',
      name: what.name,
      path: '',
    })
  await may(account === null ? { resource: 'users', name } : { resource: 'serviceaccounts', name: accountName, namespace })
  for (const group of groups) await may({ resource: 'groups', name: group })
  if (uid !== undefined) await may({ group: 'authentication.k8s.io', resource: 'uids', name: uid })
  for (const [key, values] of Object.entries(extra ?? {}))
    for (const value of values) await may({ group: 'authentication.k8s.io', resource: 'userextras', subresource: key, name: value })
  const own = account === null || groups.length > 0 ? groups : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`]
  const isAnonymous = name === 'system:anonymous'
  const automatic = isAnonymous ? 'system:unauthenticated' : 'system:authenticated'
  return { name, uid, extra, groups: own.includes(automatic) || own.includes('system:unauthenticated') ? own : [...own, automatic] }
}

function single(value: Credentials['headers'][string]): string | undefined {
  const text = typeof value === 'string' ? value : value?.[0]
  return text === '' ? undefined : text
}

/** Node joins repeated headers with `, `. */
function listOf(value: Credentials['headers'][string]): readonly string[] {
  if (value === undefined) return []
  return typeof value === 'string' ? value.split(',').map((group) => group.trim()) : value
}
