import { ipaddresses } from '@k3s/api/types/networking/v1'
import { limitranges, replicationcontrollers } from '@k3s/api/types/core/v1'
import { type StatefulSetSpec, statefulsets } from '@k3s/api/types/apps/v1'
import { describe, expect, it } from 'vitest'
import { send, startBuiltIn } from './start-cluster.ts'

const causes = (fields: readonly (readonly [string, string])[]) => ({
  code: 422,
  details: {
    causes: fields.map(
      ([field, message]) => expect.objectContaining({ field, message: expect.stringContaining(message) as string }) as object,
    ),
  },
})

describe('names that follow from the object', () => {
  it('are asked of what a name would begin with, too', async () => {
    const cluster = await startBuiltIn()
    const definition = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { generateName: 'things.example.com-' },
      spec: {
        group: 'example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
      },
    }
    const wanted = 'must be spec.names.plural+"."+spec.group'
    await expect(send(cluster, { path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions' }, definition)).rejects.toMatchObject(
      causes([
        ['metadata.generateName', wanted],
        ['metadata.name', wanted],
      ]),
    )
  })

  it('of addresses are never generated', async () => {
    const { client } = await startBuiltIn()
    const parentRef = { resource: 'services', namespace: 'default', name: 'x' }
    await expect(
      client.resource(ipaddresses).create({ metadata: { name: '', generateName: '203.0.113.7-' }, spec: { parentRef } }),
    ).rejects.toMatchObject(
      causes([
        ['metadata.generateName', '"203.0.113.7-"'],
        ['metadata.name', '"203.0.113.7-"'],
      ]),
    )
  })
})

const template = (app: string) => ({
  metadata: { labels: { app } },
  spec: { containers: [{ name: 'c', image: 'i' }] },
})

it('a limit range knows the types of Kubernetes, and those that have a domain', async () => {
  const { client } = await startBuiltIn()
  const create = (type: string) =>
    client.resource(limitranges).create({ metadata: { name: 'l', namespace: 'default' }, spec: { limits: [{ type }] } })
  await expect(create('other')).rejects.toMatchObject(causes([['spec.limits[0].type', 'must be a standard limit type or fully qualified']]))
  await expect(create('example.com/other')).resolves.toBeDefined()
})

it('the selector of a replication controller is compared, whatever its labels look like', async () => {
  const { client } = await startBuiltIn()
  const spec = { selector: { app: 'Bad Value!' }, template: template('web') }
  await expect(
    client.resource(replicationcontrollers).create({ metadata: { name: 'r', namespace: 'default' }, spec }),
  ).rejects.toMatchObject(causes([['spec.template.metadata.labels', '`selector` does not match template `labels`']]))
})

it('labels of the pods of a stateful set are judged twice', async () => {
  const { client } = await startBuiltIn()
  const spec = { serviceName: 's', selector: { matchLabels: { app: 'web' } }, template: template('Bad Value!') }
  await expect(client.resource(statefulsets).create({ metadata: { name: 's', namespace: 'default' }, spec })).rejects.toMatchObject(
    causes([
      ['spec.template.metadata.labels', '`selector` does not match template `labels`'],
      ['spec.template.labels', 'a valid label must be'],
      ['spec.template.labels', 'a valid label must be'],
    ]),
  )
})

it('nothing matches where there is no selector', async () => {
  const { client } = await startBuiltIn()
  const spec = { serviceName: 's', template: template('web') }
  // Clients may leave it out.
  const create = client
    .resource(statefulsets)
    .create({ metadata: { name: 's', namespace: 'default' }, spec: spec as unknown as StatefulSetSpec })
  await expect(create).rejects.toMatchObject(
    causes([
      ['spec.selector', 'Required value'],
      ['spec.template.metadata.labels', '`selector` does not match template `labels`'],
    ]),
  )
})
