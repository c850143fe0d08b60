import { describe, expect, it } from 'vitest'
import { authorizerValue, Environment, opaque, resourceCheckValue, type AccessCheck, type AccessChecker } from '../index.ts'

const environment = new Environment({
  variables: {
    authorizer: opaque('kubernetes.authorization.Authorizer'),
    'authorizer.requestResource': opaque('kubernetes.authorization.ResourceCheck'),
  },
})

function run(source: string, checker: AccessChecker = () => ({ isAllowed: true, reason: 'r' })) {
  const asked: AccessCheck[] = []
  const recording: AccessChecker = (check) => {
    asked.push(check)
    return checker(check)
  }
  const target = { group: 'apps', resource: 'deployments', subresource: '', namespace: 'a', name: 'web' }
  const variables = { authorizer: authorizerValue(recording), 'authorizer.requestResource': resourceCheckValue(recording, target) }
  return { outcome: environment.compile(source).evaluate(variables, 1_000_000), asked }
}

const nothing = {
  serviceAccount: undefined,
  path: '',
  group: '',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
  fieldSelector: '',
  labelSelector: '',
}

describe('the library of authorization', () => {
  it('asks about resources', () => {
    const { outcome, asked } = run(
      "authorizer.group('apps').resource('deployments').subresource('scale').namespace('a').name('web').labelSelector('x=y').check('update').allowed()",
    )
    expect(outcome).toMatchObject({ value: true })
    expect(outcome.cost).toBeGreaterThan(350_000)
    const target = { group: 'apps', resource: 'deployments', subresource: 'scale', namespace: 'a', name: 'web', labelSelector: 'x=y' }
    expect(asked).toEqual([{ ...nothing, ...target, verb: 'update' }])
  })

  it('asks about paths, and for service accounts', () => {
    expect(run("authorizer.path('/healthz').check('get').reason() == 'r'").asked).toEqual([{ ...nothing, path: '/healthz', verb: 'get' }])
    expect(run("authorizer.serviceAccount('a', 'b').path('/x').check('get').allowed()").asked).toMatchObject([
      { serviceAccount: { namespace: 'a', name: 'b' } },
    ])
    expect(run("authorizer.serviceAccount('a', 'B').path('/x').check('get').allowed()").outcome).toMatchObject({
      error: 'Invalid service account name',
    })
    expect(run("authorizer.group('').resource(' ').check('get').allowed()").outcome).toMatchObject({ error: 'resource must not be empty' })
  })

  it('knows the resource of the request', () => {
    const { asked } = run("authorizer.requestResource.check('custom').allowed()")
    expect(asked).toEqual([{ ...nothing, group: 'apps', resource: 'deployments', namespace: 'a', name: 'web', verb: 'custom' }])
  })

  it('tells of what went wrong, and allows two questions', () => {
    const failing: AccessChecker = () => ({ isAllowed: false, reason: '', error: 'boom' })
    expect(run("authorizer.path('/x').check('get').errored()", failing).outcome).toMatchObject({ value: true })
    expect(run("authorizer.path('/x').check('get').error() == 'boom'", failing).outcome).toMatchObject({ value: true })
    const one = "authorizer.path('/x').check('get').allowed()"
    expect(run(`${one} && ${one} && ${one}`).outcome).toMatchObject({ isOverBudget: true })
  })

  it('lets through what a checker throws', () => {
    const waiting = new Error('not yet')
    expect(() =>
      run("authorizer.path('/x').check('get').allowed() || true", () => {
        throw waiting
      }),
    ).toThrow(waiting)
  })
})
