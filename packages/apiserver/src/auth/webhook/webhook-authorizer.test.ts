import { StatusError } from '@k3s/api'
import { FakeClock } from '@k3s/lifecycle'
import { describe, expect, it, vi } from 'vitest'
import type { AccessAttributes } from '../auth.ts'
import { unionAuthorizer } from '../authorizers.ts'
import { WebhookAuthorizer, type WebhookAuthorizerOptions } from './webhook-authorizer.ts'

interface Review {
  readonly apiVersion: string
  readonly spec: Readonly<Record<string, unknown>>
}

function start(answer: (review: Review, count: number) => object | undefined, options: Partial<WebhookAuthorizerOptions> = {}) {
  const clock = new FakeClock()
  const asked: Review[] = []
  const counted: string[] = []
  const metrics = {
    counter: ({ name }: { readonly name: string }) => ({ inc: (labels = {}) => void counted.push(`${name} ${JSON.stringify(labels)}`) }),
    gauge: () => ({ set() {} }),
    histogram: () => ({ observe() {} }),
  }
  const hook = {
    post: async (body: object | string) => {
      asked.push(body as Review) // what the authorizer makes
      return answer(body as Review, asked.length)
    },
  }
  const settings = { authorizedTtlMs: 1000, unauthorizedTtlMs: 100, version: 'v1', failurePolicy: 'NoOpinion' } as const
  const authorizer = new WebhookAuthorizer({ name: 'w', hook, clock, random: () => 0, metrics, ...settings, ...options })
  return { clock, asked, counted, authorizer }
}

const attributes: AccessAttributes = {
  user: { name: 'jane', groups: ['dev'] },
  verb: 'list',
  isResource: true,
  group: 'apps',
  version: 'v1',
  resource: 'deployments',
  subresource: '',
  namespace: 'a',
  name: '',
  path: '/apis/apps/v1/namespaces/a/deployments',
}
const yes = { status: { allowed: true, reason: 'fine' } }

describe('WebhookAuthorizer', () => {
  it('asks with everything that a request is about', async () => {
    const { authorizer, asked } = start(() => yes)
    await authorizer.authorize({
      ...attributes,
      user: { name: 'jane', uid: '7', groups: ['dev'], extra: { k: ['v'] } },
      fieldSelector: 'metadata.name=x,spec.a!=b',
      labelSelector: 'a=1,b in (2,3),c,!d,e>5',
    })
    await authorizer.authorize({ ...attributes, isResource: false, verb: 'get', path: '/healthz' })
    expect(asked).toEqual([
      {
        kind: 'SubjectAccessReview',
        apiVersion: 'authorization.k8s.io/v1',
        metadata: {},
        spec: {
          resourceAttributes: {
            namespace: 'a',
            verb: 'list',
            group: 'apps',
            version: 'v1',
            resource: 'deployments',
            fieldSelector: {
              requirements: [
                { key: 'metadata.name', operator: 'In', values: ['x'] },
                { key: 'spec.a', operator: 'NotIn', values: ['b'] },
              ],
            },
            labelSelector: {
              requirements: [
                { key: 'a', operator: 'In', values: ['1'] },
                { key: 'b', operator: 'In', values: ['2', '3'] },
                { key: 'c', operator: 'Exists' },
                { key: 'd', operator: 'DoesNotExist' },
              ],
            },
          },
          user: 'jane',
          groups: ['dev'],
          extra: { k: ['v'] },
          uid: '7',
        },
        status: { allowed: false },
      },
      expect.objectContaining({ spec: { nonResourceAttributes: { path: '/healthz', verb: 'get' }, user: 'jane', groups: ['dev'] } }),
    ])
  })

  it('calls groups by the name that v1beta1 has for them', async () => {
    const { authorizer, asked } = start(() => yes, { version: 'v1beta1' })
    expect(await authorizer.authorize(attributes)).toEqual({ decision: 'allow', reason: 'fine' })
    expect(asked[0]).toMatchObject({ apiVersion: 'authorization.k8s.io/v1beta1', spec: { group: ['dev'] } })
    expect(asked[0]?.spec).not.toHaveProperty('groups')
  })

  it.each([
    [{ allowed: true }, { decision: 'allow', reason: '' }],
    [
      { allowed: false, reason: 'no' },
      { decision: 'noOpinion', reason: 'no' },
    ],
    [
      { denied: true, reason: 'never' },
      { decision: 'deny', reason: 'never' },
    ],
    [
      { allowed: true, denied: true },
      { decision: 'deny', reason: '', error: 'webhook subject access review returned both allow and deny response' },
    ],
  ])('takes %j for %j', async (status, decision) => {
    expect(await start(() => ({ status })).authorizer.authorize(attributes)).toEqual(decision)
  })

  it('believes a yes longer than a no, and asks about each thing by itself', async () => {
    const { authorizer, asked, clock } = start(({ spec }) => ({ status: { allowed: spec['user'] === 'jane' } }))
    const joe = { ...attributes, user: { name: 'joe', groups: [] } }
    const both = async (): Promise<number> => {
      await authorizer.authorize(attributes)
      await authorizer.authorize(joe)
      return asked.length
    }
    expect([await both(), await both()]).toEqual([2, 2])
    await clock.advance(100)
    expect(await both()).toBe(3)
    await clock.advance(900)
    expect(await both()).toBe(5)
    await authorizer.authorize({ ...attributes, name: 'x' })
    expect(asked).toHaveLength(6)
  })

  it('remembers no more than some thousand answers, and none to what is overlong', async () => {
    const { authorizer, asked } = start(() => yes)
    for (let name = 0; name <= 8192; name++) await authorizer.authorize({ ...attributes, name: String(name) })
    await authorizer.authorize({ ...attributes, name: '8192' })
    expect(asked).toHaveLength(8193)
    await authorizer.authorize({ ...attributes, name: '0' })
    expect(asked).toHaveLength(8194)
    for (let time = 0; time < 2; time++) await authorizer.authorize({ ...attributes, name: 'x'.repeat(10_000) })
    expect(asked).toHaveLength(8196)
  })

  it('asks again what failed for a passing reason, and takes other failures as its policy says', async () => {
    const fail = (_review: Review, count: number): never => {
      throw count === 1 ? new StatusError('TooManyRequests', 'later') : new StatusError('Forbidden', 'who are you?')
    }
    const open = start(fail)
    const answer = open.authorizer.authorize(attributes)
    await vi.waitFor(() => expect(open.clock.sleeping).toBe(1))
    await open.clock.advance(500)
    expect(await answer).toEqual({ decision: 'noOpinion', reason: '', error: 'who are you?' })
    expect(open.asked).toHaveLength(2)
    expect(open.counted).toEqual([
      'apiserver_authorization_webhook_evaluations_total {"name":"w","result":"error"}',
      'apiserver_authorization_webhook_evaluations_total {"name":"w","result":"error"}',
      'apiserver_authorization_webhook_evaluations_fail_open_total {"name":"w","result":"error"}',
    ])
    const closed = start((review) => fail(review, 2), { failurePolicy: 'Deny' })
    expect(await closed.authorizer.authorize(attributes)).toEqual({ decision: 'deny', reason: '', error: 'who are you?' })
    // A failure is not remembered.
    await closed.authorizer.authorize(attributes)
    expect(closed.asked).toHaveLength(2)
  })

  it.each([
    [{ kind: 'Pod', apiVersion: 'v1' }, 'converting (v1.Pod) to (v1.SubjectAccessReview): unknown conversion'],
    [
      { kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1beta1', status: { allowed: true } },
      'converting (v1beta1.SubjectAccessReview) to (v1.SubjectAccessReview): unknown conversion',
    ],
    [
      { kind: 'Odd', apiVersion: 'authorization.k8s.io/v1' },
      'no kind "Odd" is registered for version "authorization.k8s.io/v1" in scheme "pkg/runtime/scheme.go:111"',
    ],
    [
      { status: { allowed: 'yes' } },
      'json: cannot unmarshal string into Go struct field SubjectAccessReviewStatus.status.allowed of type bool',
    ],
    [undefined, '0-length response with status code: 200 and content type: application/json'],
    [[], "couldn't get version/kind; json parse error: the answer is no SubjectAccessReview"],
  ])('takes %j for no answer', async (answer, error) => {
    expect(await start(() => answer).authorizer.authorize(attributes)).toEqual({ decision: 'noOpinion', reason: '', error })
  })

  it('is passed over where its conditions do not hold', async () => {
    const { authorizer, asked, counted } = start(() => yes, { conditions: { hold: ({ user }) => user === 'jane' } })
    expect(await authorizer.authorize({ ...attributes, user: { name: 'joe', groups: [] } })).toEqual({ decision: 'noOpinion', reason: '' })
    expect(asked).toHaveLength(0)
    expect(counted).toEqual(['apiserver_authorization_match_condition_exclusions_total {"type":"Webhook","name":"w"}'])
    expect(await authorizer.authorize(attributes)).toMatchObject({ decision: 'allow' })
    const broken = start(() => yes, { conditions: { hold: () => ({ error: 'odd' }) }, failurePolicy: 'Deny' })
    expect(await broken.authorizer.authorize(attributes)).toEqual({ decision: 'deny', reason: '', error: 'odd' })
  })
})

describe('unionAuthorizer()', () => {
  const says = (decision: 'allow' | 'deny' | 'noOpinion', reason: string, error?: string) => ({
    name: reason,
    authorize: () => ({ decision, reason, ...(error === undefined ? {} : { error }) }),
  })
  const late = (inner: ReturnType<typeof says>) => ({ ...inner, authorize: () => Promise.resolve(inner.authorize()) })
  const quiet = says('noOpinion', 'one', 'broken')

  it('answers as the first that decides, and with everything that is said when none does', async () => {
    for (const one of [quiet, late(quiet)]) {
      const ask = (...rest: Parameters<typeof unionAuthorizer>[0]) => unionAuthorizer([one, ...rest]).authorize(attributes)
      expect(await ask(says('allow', 'two'))).toEqual({ decision: 'allow', reason: 'two' })
      expect(await ask(late(says('deny', 'two')), says('allow', 'three'))).toEqual({ decision: 'deny', reason: 'two' })
      const none = { decision: 'noOpinion', reason: 'one\ntwo', error: '[broken, gone]' }
      expect(await ask(late(says('noOpinion', 'two', 'gone')), says('noOpinion', ''))).toEqual(none)
    }
    expect(unionAuthorizer([quiet]).authorize(attributes)).toEqual({ decision: 'noOpinion', reason: 'one', error: 'broken' })
  })
})
