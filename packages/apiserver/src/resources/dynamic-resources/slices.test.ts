import type { Device, DeviceCapacity, ResourceSliceSpec } from '@k3s/api/types/resource/v1'
import { describe, expect, it } from 'vitest'
import { textOf } from '../../../test/strategy-runs.ts'
import { dropDisabled, validateSlice } from './slices.ts'

const base: ResourceSliceSpec = {
  driver: 'd.example.com',
  nodeName: 'n',
  pool: { name: 'p', generation: 1, resourceSliceCount: 1 },
}
const problems = (spec: Partial<ResourceSliceSpec>): string[] => validateSlice({ ...base, ...spec }, undefined).map(textOf)
const ofDevice = (device: Partial<Device>): string[] => problems({ devices: [{ name: 'one', ...device }] })
const nodes = 'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required'

describe('slices', () => {
  it.each<[string, Partial<ResourceSliceSpec>, string[]]>([
    ['no nodes', { nodeName: undefined }, [`spec: Required value: ${nodes}`]],
    [
      'an empty node',
      { nodeName: '' },
      ['spec.nodeName: Invalid value: "": must be either unset or set to a non-empty string', `spec: Required value: ${nodes}`],
    ],
    [
      'two kinds of nodes',
      { allNodes: true },
      [`spec: Invalid value: "{\`nodeName\`, \`allNodes\`}": ${nodes}, but multiple fields are set`],
    ],
    ['a pool of a bad name', { pool: { ...base.pool, name: '' } }, ['spec.pool.name: Required value']],
    ['counters without amounts', { sharedCounters: [{ name: 'c', counters: {} }] }, ['spec.sharedCounters[0].counters: Required value']],
    [
      'devices and counters at once',
      { sharedCounters: [{ name: 'c', counters: { memory: { value: '1' } } }], devices: [{ name: 'one' }] },
      ['spec: Invalid value: "": only one of `sharedCounters` or `devices` is allowed'],
    ],
    ['two devices of one name', { devices: [{ name: 'a' }, { name: 'a' }] }, ['spec.devices[1]: Duplicate value: "a"']],
  ])('refuse %s', (_what, spec, expected) => {
    expect(problems(spec)).toEqual(expected)
  })

  it('stay with their driver, pool and node', () => {
    expect(validateSlice({ ...base, driver: 'other.example.com' }, base).map(textOf)).toEqual([
      'spec.driver: Invalid value: "other.example.com": field is immutable',
    ])
  })

  it('lose what is not let in yet', () => {
    const device: Device = { name: 'a', attributes: { x: { ints: [1] } }, nodeAllocatableResourceMappings: { cpu: {} } }
    dropDisabled({ ...base, devices: [device] })
    expect(device).toEqual({ name: 'a', attributes: { x: {} } })
  })
})

describe('devices', () => {
  it.each<[string, Partial<Device>, string[]]>([
    [
      'attributes without a value',
      { attributes: { model: {} } },
      ['spec.devices[0].attributes[model]: Invalid value: "": exactly one value must be specified'],
    ],
    [
      'versions that are none',
      { attributes: { v: { version: '1.2' } } },
      ['spec.devices[0].attributes[v].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0'],
    ],
    [
      'names of attributes without a domain',
      { attributes: { '/x': { int: 1 } } },
      ['spec.devices[0].attributes: Invalid value: "": the domain must not be empty'],
    ],
    ['taints without an effect', { taints: [{ key: 'k', effect: '' }] }, ['spec.devices[0].taints[0].effect: Required value']],
    [
      'nodes that the slice does not leave to them',
      { nodeName: 'n' },
      [
        'spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec',
      ],
    ],
    [
      'conditions without those of failure',
      { bindingConditions: ['ready'] },
      ['spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions'],
    ],
  ])('refuse %s', (_what, device, expected) => {
    expect(ofDevice(device)).toEqual(expected)
  })

  const memory: DeviceCapacity = { value: '10Gi' }
  it.each<[string, DeviceCapacity['requestPolicy'], string[]]>([
    ['no default', { validValues: ['1Gi'] }, ['.default: Required value: required when validValues is defined']],
    [
      'a default that is not valid',
      { default: '3Gi', validValues: ['1Gi', '2Gi'] },
      ['.validValues: Invalid value: "3Gi": default value is not valid according to the requestPolicy'],
    ],
    [
      'values out of order',
      { default: '1Gi', validValues: ['2Gi', '1Gi'] },
      ['.validValues[1]: Invalid value: "1Gi": values must be sorted in ascending order'],
    ],
    [
      'values above the capacity',
      { default: '1Gi', validValues: ['1Gi', '20Gi'] },
      ['.validValues[1]: Invalid value: "20Gi": option is larger than capacity value: 10Gi'],
    ],
    [
      'a default between two steps',
      { default: '3Gi', validRange: { min: '1Gi', step: '4Gi' } },
      ['.validRange.step: Invalid value: "3Gi": value is not a multiple of a given step (4Gi) from (1Gi)'],
    ],
  ])('refuse policies with %s', (_what, requestPolicy, expected) => {
    const at = 'spec.devices[0].capacity[memory].requestPolicy'
    expect(ofDevice({ allowMultipleAllocations: true, capacity: { memory: { ...memory, requestPolicy } } })).toEqual(
      expected.map((text) => `${at}${text}`),
    )
  })

  it('have no policies when they cannot be shared', () => {
    expect(ofDevice({ capacity: { memory: { ...memory, requestPolicy: {} } } })).toEqual([
      'spec.devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true',
    ])
  })
})
