import { describe, expect, it } from 'vitest'
import { parseRequestInfo } from './request-info.ts'

const parse = (method: string, target: string) => {
  const url = new URL(`http://x${target}`)
  return parseRequestInfo(method, url.pathname, url.searchParams)
}

describe('parseRequestInfo()', () => {
  it.each([
    ['GET', '/api/v1/pods', { verb: 'list', resource: 'pods', namespace: '', name: '' }],
    ['GET', '/api/v1/namespaces/n/pods?watch=1', { verb: 'watch', resource: 'pods', namespace: 'n' }],
    ['GET', '/api/v1/watch/namespaces/n/pods/a', { verb: 'watch', resource: 'pods', namespace: 'n', name: 'a' }],
    ['GET', '/api/v1/namespaces/n', { verb: 'get', resource: 'namespaces', namespace: 'n', name: 'n' }],
    ['PUT', '/api/v1/namespaces/n/finalize', { verb: 'update', resource: 'namespaces', subresource: 'finalize', name: 'n' }],
    ['GET', '/api/v1/namespaces/n/pods/a/log', { verb: 'get', resource: 'pods', subresource: 'log', name: 'a', rest: '' }],
    ['POST', '/api/v1/namespaces/n/services/s:80/proxy/x/y%2Fz', { verb: 'create', subresource: 'proxy', name: 's:80', rest: '/x/y%2Fz' }],
    ['GET', '/api/v1/nodes/proxy/proxy/proxy', { resource: 'nodes', name: 'proxy', subresource: 'proxy', rest: '/proxy' }],
    ['DELETE', '/apis/apps/v1/namespaces/n/deployments', { verb: 'deletecollection', group: 'apps', version: 'v1' }],
    ['DELETE', '/apis/apps/v1/namespaces/n/deployments/d', { verb: 'delete', name: 'd' }],
    ['GET', '/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Da', { verb: 'list', name: 'a' }],
    ['HEAD', '/api/v1/namespaces/n/pods/a', { verb: 'get' }],
  ])('%s %s', (method, target, expected) => {
    expect(parse(method, target)).toMatchObject({ isResource: true, ...expected })
  })

  it.each(['/', '/api', '/api/v1', '/apis/apps', '/apis/apps/v1', '/healthz/ping', '/version'])('%s is no resource', (target) => {
    expect(parse('GET', target)).toMatchObject({ isResource: false, verb: 'get', path: target })
  })

  it('refuses a path that cannot be decoded', () => {
    expect(() => parseRequestInfo('GET', '/api/v1/pods/%zz', new URLSearchParams())).toThrow('invalid URL escape')
  })
})
