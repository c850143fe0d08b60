import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createCa, issueCertificate } from '@k3s/pki'
import type { KubernetesObject } from '@k3s/api'
import { describe, expect, it, onTestFinished } from 'vitest'
import { start, widget, widgets, widgetsPath } from './custom-api.ts'

interface Review {
  readonly request: { readonly uid: string; readonly desiredAPIVersion: string; readonly objects: readonly Host[] }
}
interface Host extends KubernetesObject {
  readonly spec: { readonly hostPort?: string; readonly host?: string; readonly port?: string }
}

/** `v1` has `hostPort`, `v2` has `host` and `port`. */
function convert(object: Host, apiVersion: string): unknown {
  const { hostPort = '', host = '', port = '' } = object.spec
  const [first, second] = hostPort.split(':')
  return { ...object, apiVersion, spec: apiVersion.endsWith('/v1') ? { hostPort: `${host}:${port}` } : { host: first, port: second } }
}

/** A webhook on a port of its own. `answer` may break it. */
async function startWebhook(
  answer: (review: Review) => unknown = defaultAnswer,
): Promise<{ readonly url: string; readonly caBundle: string; readonly calls: () => number }> {
  const ca = await createCa('webhook-ca')
  const { cert, key } = await issueCertificate(ca, { commonName: 'webhook', sans: ['127.0.0.1'], usages: ['server'] })
  let calls = 0
  const server = createServer({ cert, key }, (request, response) => {
    calls++
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString()) as Review // what the server sends
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ kind: 'ConversionReview', apiVersion: 'apiextensions.k8s.io/v1', response: answer(review) }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo // it listens on a port
  return { url: `https://127.0.0.1:${port}/convert`, caBundle: Buffer.from(ca.cert).toString('base64'), calls: () => calls }
}

function defaultAnswer({ request }: Review): unknown {
  return {
    uid: request.uid,
    result: { status: 'Success' },
    convertedObjects: request.objects.map((object) => convert(object, request.desiredAPIVersion)),
  }
}

function hosts(clientConfig: object): Record<string, unknown> {
  const text = { type: 'string' }
  const version = (name: string, storage: boolean, names: readonly string[]): object => ({
    name,
    storage,
    served: true,
    selectableFields: [{ jsonPath: `.spec.${names[0] ?? ''}` }],
    schema: {
      openAPIV3Schema: {
        type: 'object',
        properties: { spec: { type: 'object', properties: Object.fromEntries(names.map((one) => [one, text])) } },
      },
    },
  })
  return widgets({
    spec: {
      versions: [version('v1', true, ['hostPort']), version('v2', false, ['host', 'port'])],
      conversion: { strategy: 'Webhook', webhook: { clientConfig, conversionReviewVersions: ['v1'] } },
    },
  })
}

const secondPath = widgetsPath.replace('/v1/', '/v2/')

describe('custom resources with a conversion webhook', () => {
  it('are converted for reads, lists, selectors and watches, each once', async () => {
    const webhook = await startWebhook()
    const api = await start()
    await api.define(hosts({ url: webhook.url, caBundle: webhook.caBundle }))
    expect((await api.send('POST', widgetsPath, widget('a', { hostPort: 'one:80' }))).status).toBe(201)
    const made = await api.send('POST', secondPath, { ...widget('b', { host: 'two', port: '90' }), apiVersion: 'example.com/v2' })
    expect(made.json()).toMatchObject({ apiVersion: 'example.com/v2', spec: { host: 'two', port: '90' } })
    expect((await api.send('GET', `${secondPath}/a`)).json()).toMatchObject({
      apiVersion: 'example.com/v2',
      spec: { host: 'one', port: '80' },
    })
    const calls = webhook.calls()
    const list = (await api.send('GET', secondPath)).json() as { items: Host[] }
    expect(list.items.map(({ spec }) => spec.host)).toEqual(['one', 'two'])
    const selected = (await api.send('GET', `${secondPath}?fieldSelector=spec.host%3Dtwo`)).json() as { items: Host[] }
    expect(selected.items.map(({ metadata }) => metadata.name)).toEqual(['b'])
    expect(webhook.calls()).toBe(calls)
    const watched = await api.send('GET', `${secondPath}?watch=true&timeoutSeconds=1&fieldSelector=spec.host%3Done`)
    const [event] = watched.text.split('\n')
    expect(JSON.parse(event ?? '')).toMatchObject({ type: 'ADDED', object: { apiVersion: 'example.com/v2', spec: { host: 'one' } } })
  })

  it('are converted alike when they are so large that a thread does the work', { timeout: 60_000 }, async () => {
    const long = 'x'.repeat(600_000)
    const seen = async (options: Parameters<typeof start>[0]): Promise<unknown> => {
      const webhook = await startWebhook()
      const api = await start(options)
      await api.define(hosts({ url: webhook.url, caBundle: webhook.caBundle }))
      const second = (name: string, spec: object): object => ({ ...widget(name, spec), apiVersion: 'example.com/v2' })
      const answers = [
        await api.send('POST', secondPath, second('a', { host: long, port: '90', unknown: 1 })),
        await api.send('GET', `${widgetsPath}/a`),
        await api.send('POST', widgetsPath, widget('b', { hostPort: `${long}:80` })),
        await api.send('GET', `${secondPath}/b`),
        await api.send('PATCH', `${secondPath}/b?fieldManager=m`, { spec: { port: '81' } }, 'application/merge-patch+json'),
        await api.send('PATCH', `${secondPath}/b?fieldManager=m`, { spec: { port: 81 } }, 'application/merge-patch+json'),
        await api.send('PATCH', `${secondPath}/a?fieldManager=n&force=true`, second('a', { host: long }), 'application/apply-patch+yaml'),
        await api.send('GET', secondPath),
        await api.send('GET', `${secondPath}?fieldSelector=metadata.name%3Db`),
      ]
      // Owners are sorted by their times.
      const volatile = new Set(['uid', 'resourceVersion', 'creationTimestamp', 'managedFields'])
      return answers.map(({ status, text }) => [
        status,
        JSON.parse(text, (key, value: unknown) => (volatile.has(key) ? undefined : value === long ? 'long' : value)) as unknown,
      ])
    }
    const elsewhere = await seen({ heavyRules: {} })
    expect(elsewhere).toEqual(await seen({}))
    expect(elsewhere).toMatchObject([
      [201, { apiVersion: 'example.com/v2', spec: { host: 'long', port: '90' } }],
      [200, { apiVersion: 'example.com/v1' }],
      [201, { apiVersion: 'example.com/v1' }],
      [200, { apiVersion: 'example.com/v2', spec: { host: 'long', port: '80' } }],
      [200, { spec: { port: '81' } }],
      [422, { reason: 'Invalid' }],
      [200, {}],
      [200, { items: [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }] }],
      [200, { items: [{ metadata: { name: 'b' } }] }],
    ])
  })

  it('cannot be read when the webhook fails, in upstream’s words', async () => {
    const webhook = await startWebhook(({ request }) => ({ uid: request.uid, result: { status: 'Failure', message: 'no way' } }))
    const api = await start()
    await api.define(hosts({ url: webhook.url, caBundle: webhook.caBundle }))
    await api.send('POST', widgetsPath, widget('a', { hostPort: 'one:80' }))
    const answer = await api.send('GET', `${secondPath}/a`)
    expect(answer.status).toBe(500)
    expect(answer.json()['message']).toBe('Internal error occurred: conversion webhook for example.com/v1, Kind=Widget failed: no way')
  })

  it('keep their metadata, whatever the webhook says', async () => {
    const webhook = await startWebhook(({ request }) => ({
      uid: request.uid,
      result: { status: 'Success' },
      convertedObjects: request.objects.map((object) => ({
        ...(convert(object, request.desiredAPIVersion) as object),
        metadata: { ...object.metadata, labels: { a: 'b' }, generation: 77, creationTimestamp: '2000-01-01T00:00:00Z' },
      })),
    }))
    const api = await start()
    await api.define(hosts({ url: webhook.url, caBundle: webhook.caBundle }))
    await api.send('POST', widgetsPath, widget('a', { hostPort: 'one:80' }))
    const { metadata } = (await api.send('GET', `${secondPath}/a`)).json() as unknown as KubernetesObject
    expect(metadata).toMatchObject({ labels: { a: 'b' }, generation: 1 })
    expect(metadata.creationTimestamp).not.toContain('2000')
  })
})
