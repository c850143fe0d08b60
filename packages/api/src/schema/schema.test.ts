import { describe, expect, it } from 'vitest'
import { findResource, groupInfos, resourceInfos } from './resources.ts'
import { fieldAt, schemaOf, typeNames, typeSchema } from './table.ts'

describe('schemaOf()', () => {
  it.each([
    ['v1', 'Pod', 'core/v1.Pod'],
    ['apps/v1', 'Deployment', 'apps/v1.Deployment'],
    ['autoscaling/v2', 'HorizontalPodAutoscaler', 'autoscaling/v2.HorizontalPodAutoscaler'],
    ['rbac.authorization.k8s.io/v1', 'ClusterRole', 'rbac/v1.ClusterRole'],
    ['flowcontrol.apiserver.k8s.io/v1', 'FlowSchema', 'flowcontrol/v1.FlowSchema'],
    ['apiextensions.k8s.io/v1', 'CustomResourceDefinition', 'apiextensions/v1.CustomResourceDefinition'],
    ['apiregistration.k8s.io/v1', 'APIServiceList', 'apiregistration/v1.APIServiceList'],
    ['admission.k8s.io/v1', 'AdmissionReview', 'admission/v1.AdmissionReview'],
    ['meta.k8s.io/v1', 'Table', 'meta/v1.Table'],
    ['example.com/v1', 'DeleteOptions', 'meta/v1.DeleteOptions'],
    ['v1', 'Status', 'meta/v1.Status'],
    ['v1', 'List', 'meta/v1.List'],
  ])('%s %s is %s', (apiVersion, kind, name) => {
    expect(schemaOf(apiVersion, kind)?.name).toBe(name)
  })

  it.each([
    ['apps.example.com/v1', 'Deployment'],
    ['v1', 'Container'],
    ['v1', 'Deployment'],
    ['apps/v1beta1', 'Deployment'],
    ['apps/v1', 'Status'],
    ['', 'DeleteOptions'],
    ['toString', 'constructor'],
  ])('%s %s is unknown', (apiVersion, kind) => {
    expect(schemaOf(apiVersion, kind)).toBeUndefined()
  })
})

describe('typeSchema()', () => {
  it('expands every type of the table', () => {
    const broken = typeNames().filter((name) => {
      const type = typeSchema(name)
      return type === undefined || type.byName.size !== type.fields.length || type.fields.some((field) => field.goType === '')
    })
    expect(broken).toEqual([])
  })

  it('knows what merging and validation need', () => {
    const pod = schemaOf('v1', 'Pod')!
    expect(fieldAt(pod, ['spec', 'containers'])).toMatchObject({
      number: 2,
      isRequired: true,
      listType: 'map',
      mapKeys: ['name'],
      patchStrategy: ['merge'],
      patchMergeKey: 'name',
    })
    expect(fieldAt(pod, ['spec', 'containers', 'ports'])).toMatchObject({
      mapKeys: ['containerPort', 'protocol'],
      patchMergeKey: 'containerPort',
    })
    expect(fieldAt(pod, ['spec', 'containers', 'ports', 'protocol'])).toMatchObject({
      default: 'TCP',
      enum: ['SCTP', 'TCP', 'UDP'],
      goType: 'v1.Protocol',
    })
    expect(fieldAt(pod, ['spec', 'volumes', 'emptyDir', 'sizeLimit'])).toMatchObject({ value: { kind: 'quantity' }, isPointer: true })
    expect(fieldAt(pod, ['spec', 'nodeSelector'])).toMatchObject({ mapType: 'atomic' })
    expect(fieldAt(pod, ['spec', 'ephemeralContainers', 'env'])).toMatchObject({ patchMergeKey: 'name' })
    expect(fieldAt(pod, ['spec', 'nothing'])).toBeUndefined()
    expect(fieldAt(pod, ['metadata', 'labels', 'any', 'more'])).toBeUndefined()
    expect(fieldAt(schemaOf('v1', 'PersistentVolume')!, ['spec', 'claimRef'])?.mapType).toBe('granular')
  })
})

describe('resourceInfos()', () => {
  it('holds what is served by default, and a schema for every kind of it', () => {
    const names = resourceInfos().map(({ group, version, resource }) => `${resource}.${version}.${group}`)
    expect(new Set(names).size).toBe(names.length)
    expect(names).toEqual(
      expect.arrayContaining([
        'pods.v1.',
        'deployments.v1.apps',
        'mutatingadmissionpolicies.v1.admissionregistration.k8s.io',
        'mutatingadmissionpolicybindings.v1.admissionregistration.k8s.io',
        'horizontalpodautoscalers.v2.autoscaling',
        'customresourcedefinitions.v1.apiextensions.k8s.io',
        'apiservices.v1.apiregistration.k8s.io',
      ]),
    )
    const isUnknown = (at: { readonly group: string; readonly version: string }, kind: string): boolean =>
      schemaOf(at.group === '' ? at.version : `${at.group}/${at.version}`, kind) === undefined
    const unknown = resourceInfos().flatMap((info) => [
      ...(isUnknown(info, info.kind) ? [info.resource] : []),
      ...(info.verbs.includes('list') && isUnknown(info, `${info.kind}List`) ? [`${info.resource} list`] : []),
      ...info.subresources.filter((sub) => isUnknown(sub, sub.kind)).map((sub) => `${info.resource}/${sub.name}`),
    ])
    expect(unknown).toEqual([])
  })

  it('tells groups in discovery order, preferred version first', () => {
    expect(groupInfos()[0]).toEqual({ group: '', versions: ['v1'] })
    expect(groupInfos().find(({ group }) => group === 'autoscaling')).toEqual({ group: 'autoscaling', versions: ['v2', 'v1'] })
  })
})

describe('findResource()', () => {
  it('finds by plural and by kind', () => {
    const pods = findResource({ group: '', version: 'v1', resource: 'pods' })
    expect(pods).toMatchObject({ kind: 'Pod', singular: 'pod', shortNames: ['po'], categories: ['all'], namespaced: true })
    expect(findResource({ group: '', version: 'v1', kind: 'Pod' })).toBe(pods)
    expect(pods?.subresources.find(({ name }) => name === 'eviction')).toEqual({
      name: 'eviction',
      group: 'policy',
      version: 'v1',
      kind: 'Eviction',
      verbs: ['create'],
    })
    expect(findResource({ group: 'apps', version: 'v1', resource: 'pods' })).toBeUndefined()
  })
})
