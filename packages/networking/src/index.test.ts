import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/networking')).toSorted()).toMatchInlineSnapshot(`
    [
      "CommandError",
      "createPodNetwork",
      "createServiceProxy",
      "defaultAddress",
      "ensureLocalAddress",
      "interfaceOf",
      "peerOf",
      "planRoutes",
      "renderCniConfig",
      "renderMasquerade",
      "renderRules",
      "runCommand",
      "servicePorts",
    ]
  `)
})
