import { simple } from '@k3s/cel'
import type { Namespace } from '@k3s/api/types/core/v1'
import { afterAll, describe, expect, it } from 'vitest'
import type { AccessAttributes, Authorizer } from '../../auth/auth.ts'
import { HeavyWork } from '../../off-loop/heavy-work.ts'
import { Pace } from '../../off-loop/pace.ts'
import type { Attributes } from '../matching/attributes.ts'
import { accessChecker } from './access.ts'
import { meetsConditions } from './conditions.ts'
import { admissionEnvironment } from './environment.ts'
import { Evaluation, OutOfBudget, policyBudget, type Inputs } from './evaluation.ts'
import { compileExpression } from './expression.ts'
import { composeVariables } from './variables.ts'

const resource = { group: 'apps', version: 'v1', resource: 'deployments' }
const kind = { group: 'apps', version: 'v1', kind: 'Deployment' }
const user = { name: 'jane', groups: ['g'] }
const attributes: Attributes = {
  // Expressions do not look at it.
  request: undefined as never,
  operation: 'CREATE',
  resource,
  kind,
  subresource: '',
  name: 'web',
  namespace: 'a',
  user,
  isDryRun: false,
  options: undefined,
  signal: undefined,
}
const inputs: Inputs = {
  attributes,
  match: { resource, kind },
  objects: { object: { metadata: { name: 'web', labels: { a: 'b' } } }, oldObject: undefined },
}
const environment = admissionEnvironment({ hasParams: true, hasAuthorizer: true })

async function run(source: string, more: Partial<Inputs> = {}): Promise<unknown> {
  const result = await new Evaluation({ ...inputs, ...more }, { budget: policyBudget }).evaluate(compileExpression(environment, source))
  return 'error' in result ? result.error : result.value
}

describe('Evaluation', () => {
  it.each([
    ["object.metadata.labels.a == 'b' && oldObject == null && params == null", true],
    ["request.kind.kind == 'Deployment' && request.namespace == 'a' && request.userInfo.groups == ['g']", true],
    ["has(object.metadata.labels.b) || 'b' in object.metadata.labels", false],
    ["object.metadata.?labels[?'none'].orValue('x')", 'x'],
    ['object.spec.replicas', "expression 'object.spec.replicas' resulted in error: no such key: spec"],
    ['object.metadata.labels.map(k, object.metadata.labels[k])[0]', 'b'],
  ])('%s', async (source, expected) => {
    expect(await run(source)).toEqual(expected)
  })

  it('waits for an authorizer that takes its time, and asks each thing once', async () => {
    const asked: AccessAttributes[] = []
    const slow: Authorizer = {
      name: 'slow',
      authorize: async (what) => {
        asked.push(what)
        await Promise.resolve()
        return { decision: what.verb === 'get' ? 'allow' : 'noOpinion', reason: 'r' }
      },
    }
    const access = accessChecker(slow, user)
    const source =
      "authorizer.requestResource.check('get').allowed() && !authorizer.serviceAccount('a', 'b').path('/x').check('post').allowed()"
    expect(await run(source, { access })).toBe(true)
    expect(await run(source, { access })).toBe(true)
    expect(asked).toMatchObject([
      { user, verb: 'get', isResource: true, group: 'apps', version: '*', resource: 'deployments', namespace: 'a', name: 'web' },
      { user: { name: 'system:serviceaccount:a:b' }, verb: 'post', isResource: false, path: '/x' },
    ])
    const failing: Authorizer = { name: 'failing', authorize: () => Promise.reject(new Error('boom')) }
    expect(await run("authorizer.path('/x').check('get').error()", { access: accessChecker(failing, user) })).toBe('boom')
  })

  it('evaluates variables when they are needed, once, and charges for them', async () => {
    const composed = composeVariables(
      [
        { name: 'bad', expression: 'object.none' },
        { name: 'two', expression: '1 + 1' },
        { name: 'four', expression: 'variables.two * 2' },
        { name: 'broken', expression: 'nothing' },
      ],
      (variables) => admissionEnvironment({ hasParams: false, hasAuthorizer: false, variables }),
    )
    expect(composed.types.get('four')).toEqual(simple('int'))
    const known = admissionEnvironment({ hasParams: false, hasAuthorizer: false, variables: composed.types })
    const evaluation = new Evaluation(inputs, { budget: 1000, variables: composed })
    const evaluate = (source: string) => evaluation.evaluate(compileExpression(known, source))
    expect(await evaluate('variables.four == 4')).toEqual({ value: true })
    const first = 1000 - evaluation.left
    expect(await evaluate('variables.four == 4')).toEqual({ value: true })
    expect(1000 - evaluation.left).toBeLessThan(2 * first)
    expect(await evaluate('variables.bad == 1')).toEqual({
      error: `expression 'variables.bad == 1' resulted in error: composited variable "bad" fails to evaluate: no such key: none`,
    })
    expect(await evaluate('variables.broken == 1')).toMatchObject({
      error: expect.stringContaining('composited variable "broken" fails to compile: compilation failed') as string,
    })
    const poor = new Evaluation(inputs, { budget: first - 1, variables: composed })
    await expect(poor.evaluate(compileExpression(known, 'variables.four == 4'))).rejects.toThrow(OutOfBudget)
  })
})

describe('Evaluation of what takes longer than a turn', () => {
  const work = new HeavyWork({ rules: {} })
  afterAll(() => work.close())
  const elsewhere = (): Partial<Inputs> => ({ work, pace: new Pace(0) })

  it.each([
    ["object.metadata.labels.a == 'b' && oldObject == null && params == null && request.operation == 'CREATE'", true],
    ["namespaceObject.metadata.name == 'a' && namespaceObject.spec.finalizers == ['f']", true],
    ['object.metadata.labels.map(k, object.metadata.labels[k])[0]', 'b'],
    ['object.spec.replicas', "expression 'object.spec.replicas' resulted in error: no such key: spec"],
    ['[1, 2, 3].map(x, [1, 2, 3].map(y, x * y)).size() == 3', true],
  ])('%s', async (source, expected) => {
    const namespace: Namespace = { metadata: { name: 'a' }, spec: { finalizers: ['f'] } }
    expect(await run(source, { ...elsewhere(), namespace })).toEqual(expected)
  })

  it('stops at the cost of one expression, and at the budget of all', async () => {
    const many = `[${Array.from({ length: 101 }, (_, at) => at).join(',')}]`
    const costly = `${many}.all(a, ${many}.all(b, ${many}.all(c, a + b + c >= 0)))`
    expect(await run(costly, elsewhere())).toBe(`expression '${costly}' resulted in error: operation cancelled: actual cost limit exceeded`)
    const poor = new Evaluation({ ...inputs, ...elsewhere() }, { budget: 700 })
    await expect(poor.evaluate(compileExpression(environment, `${many}.all(a, a >= 0)`))).resolves.toEqual({ value: true })
    await expect(poor.evaluate(compileExpression(environment, `${many}.all(a, a >= 0)`))).rejects.toThrow(OutOfBudget)
  })

  it('asks the authorizer for each thing once', async () => {
    const asked: string[] = []
    const slow: Authorizer = {
      name: 'slow',
      authorize: async ({ verb }) => {
        asked.push(verb)
        await Promise.resolve()
        return { decision: verb === 'get' ? 'allow' : 'noOpinion', reason: 'r' }
      },
    }
    const source = "authorizer.requestResource.check('get').allowed() && !authorizer.group('').resource('pods').check('list').allowed()"
    expect(await run(source, { ...elsewhere(), access: accessChecker(slow, user) })).toBe(true)
    expect(asked).toEqual(['get', 'list'])
  })

  it('evaluates variables, and charges for each once', async () => {
    const composed = composeVariables(
      [
        { name: 'bad', expression: 'object.none' },
        { name: 'two', expression: '1 + 1' },
        { name: 'four', expression: 'variables.two * 2' },
        { name: 'broken', expression: 'nothing' },
      ],
      (variables) => admissionEnvironment({ hasParams: false, hasAuthorizer: true, variables }),
    )
    const known = admissionEnvironment({ hasParams: false, hasAuthorizer: false, variables: composed.types })
    const sources = ['variables.four == 4', 'variables.four == 4', 'variables.bad == 1', 'variables.broken == 1']
    const evaluated = async (more: Partial<Inputs>): Promise<readonly unknown[]> => {
      const evaluation = new Evaluation({ ...inputs, ...more }, { budget: 1000, variables: { ...composed, hasParams: false } })
      const results: unknown[] = []
      for (const source of sources) results.push(await evaluation.evaluate(compileExpression(known, source)), evaluation.left)
      return results
    }
    expect(await evaluated(elsewhere())).toEqual(await evaluated({}))
  })
})

describe('meetsConditions()', () => {
  const meets = (sources: readonly string[], failurePolicy: string) =>
    meetsConditions(
      sources.map((source) => compileExpression(environment, source)),
      inputs,
      { failurePolicy },
    )

  it('holds when all do; one that is false decides, errors or not', async () => {
    expect(await meets([], 'Fail')).toBe(true)
    expect(await meets(['true', 'object != null'], 'Fail')).toBe(true)
    expect(await meets(['object.none', 'false'], 'Fail')).toBe(false)
  })

  it('leaves errors to the failure policy', async () => {
    expect(await meets(['object.none', 'true'], 'Ignore')).toBe(false)
    expect(await meets(['object.none', 'true'], 'Fail')).toEqual({
      error: "expression 'object.none' resulted in error: no such key: none",
    })
    expect(await meets(['object.one', 'object.two'], 'Fail')).toEqual({
      error: "[expression 'object.one' resulted in error: no such key: one, expression 'object.two' resulted in error: no such key: two]",
    })
  })
})
