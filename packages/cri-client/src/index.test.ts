import { expect, test } from 'vitest'

test('the public surface is what is reviewed here', async () => {
  expect(Object.keys(await import('./index.ts')).toSorted()).toMatchInlineSnapshot(`
    [
      "CriError",
      "createCriClient",
      "isCriError",
      "openPortForward",
      "openStreams",
      "readContainerLogs",
      "tryUpgrade",
      "upgrade",
    ]
  `)
  expect(Object.keys(await import('./fake/index.ts'))).toMatchInlineSnapshot(`
    [
      "startFakeCri",
    ]
  `)
})
