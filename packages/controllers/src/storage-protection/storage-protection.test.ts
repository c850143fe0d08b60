import { persistentvolumeclaims, persistentvolumes, pods } from '@k3s/api/types/core/v1'
import { volumeattributesclasses } from '@k3s/api/types/storage/v1'
import { describe, expect, it } from 'vitest'
import { startWorld } from '../../test/harness.ts'
import {
  createAttributesClassProtectionController,
  createClaimProtectionController,
  createVolumeProtectionController,
} from './storage-protection-controllers.ts'

describe('storage protection controllers', () => {
  it('keep a claim while a pod uses it and a volume while it is bound', async () => {
    await using world = await startWorld((context) => [createClaimProtectionController(context), createVolumeProtectionController(context)])
    const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }]
    world.server.put(pods, { metadata: { name: 'p', namespace: 'default' }, spec: { nodeName: 'n', containers: [], volumes } })
    world.server.put(persistentvolumeclaims, { metadata: { name: 'c', namespace: 'default' }, spec: {} })
    world.server.put(persistentvolumes, { metadata: { name: 'v' }, spec: {}, status: { phase: 'Bound' } })
    await world.eventually(() => world.server.peek(persistentvolumeclaims, 'default/c')?.metadata.finalizers?.length === 1)
    await world.eventually(() => world.server.peek(persistentvolumes, 'v')?.metadata.finalizers?.length === 1)
    await world.client.resource(persistentvolumeclaims).delete('c', { namespace: 'default' })
    await world.client.resource(persistentvolumes).delete('v')
    await world.quiet()
    expect(world.server.peek(persistentvolumeclaims, 'default/c')).toBeDefined()
    expect(world.server.peek(persistentvolumes, 'v')).toBeDefined()
    world.server.remove(pods, 'default/p')
    await world.eventually(() => world.server.peek(persistentvolumeclaims, 'default/c') === undefined)
    const volume = world.server.peek(persistentvolumes, 'v')
    if (volume !== undefined) world.server.put(persistentvolumes, { ...volume, status: { phase: 'Released' } })
    await world.eventually(() => world.server.peek(persistentvolumes, 'v') === undefined)
  })

  it('keep an attributes class while a claim names it', async () => {
    await using world = await startWorld((context) => [createAttributesClassProtectionController(context)])
    const claim = { metadata: { name: 'c', namespace: 'default' }, spec: { volumeAttributesClassName: 'gold' } }
    world.server.put(persistentvolumeclaims, claim)
    for (const name of ['gold', 'idle']) world.server.put(volumeattributesclasses, { metadata: { name }, driverName: 'd' })
    await world.eventually(() => world.server.all(volumeattributesclasses).every(({ metadata }) => metadata.finalizers?.length === 1))
    for (const name of ['gold', 'idle']) await world.client.resource(volumeattributesclasses).delete(name)
    await world.eventually(() => world.server.peek(volumeattributesclasses, 'idle') === undefined)
    await world.quiet()
    expect(world.server.peek(volumeattributesclasses, 'gold')).toBeDefined()
    world.server.put(persistentvolumeclaims, { ...claim, spec: {}, status: { currentVolumeAttributesClassName: 'gold' } })
    await world.quiet()
    expect(world.server.peek(volumeattributesclasses, 'gold')).toBeDefined()
    world.server.remove(persistentvolumeclaims, 'default/c')
    await world.eventually(() => world.server.peek(volumeattributesclasses, 'gold') === undefined)
  })
})
