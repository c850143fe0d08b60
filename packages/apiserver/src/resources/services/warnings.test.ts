import type { ServiceSpec } from '@k3s/api/types/core/v1'
import { expect, it } from 'vitest'
import { serviceWarnings } from './warnings.ts'

it.each<[string, ServiceSpec, string[]]>([
  ['nothing', { type: 'ClusterIP', sessionAffinity: 'None' }, []],
  [
    'a name of another kind',
    { type: 'ClusterIP', externalName: 'x' },
    ['spec.externalName is ignored when spec.type is not "ExternalName"'],
  ],
  [
    'an old word',
    { type: 'ClusterIP', trafficDistribution: 'PreferClose' },
    ['spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"'],
  ],
  [
    'what a headless service has no use for',
    { type: 'ClusterIP', clusterIP: 'None', externalIPs: ['192.0.2.1'], sessionAffinity: 'ClientIP', loadBalancerIP: '192.0.2.2' },
    [
      'spec.loadBalancerIP is ignored for headless services',
      'spec.externalIPs is ignored for headless services',
      'spec.SessionAffinity is ignored for headless services',
    ],
  ],
  [
    'external addresses',
    { type: 'NodePort', externalIPs: ['192.0.2.1'] },
    ['spec.externalIPs is deprecated and may no longer be implemented in some clusters'],
  ],
  [
    'addresses of a name',
    { type: 'ExternalName', externalName: 'x', externalIPs: ['192.0.2.1'] },
    ['spec.externalIPs is ignored when spec.type is "ExternalName"'],
  ],
])('serviceWarnings() tells of %s', (_what, spec, expected) => {
  expect(serviceWarnings({ metadata: { name: 's' }, spec })).toEqual(expected)
})
