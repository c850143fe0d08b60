import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/tunnel')).toSorted()).toMatchInlineSnapshot(`
    [
      "TunnelError",
      "createLoadBalancer",
      "createTunnelClient",
      "createTunnelServer",
      "isTunnelError",
    ]
  `)
})
