import { expect, test } from 'vitest'

test('the public surface is what it is meant to be', async () => {
  expect(Object.keys(await import('@k3s/kubelet'))).toMatchInlineSnapshot(`
    [
      "createKubelet",
      "parseThresholds",
      "detectCgroups",
      "noCgroups",
      "createContainerdService",
      "defaultPauseImage",
      "stopContainerd",
    ]
  `)
})
