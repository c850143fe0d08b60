import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('./index.ts'))).toMatchInlineSnapshot(`
    [
      "createClient",
      "createEventRecorder",
      "referenceTo",
      "createInformerFactory",
      "loadKubeconfig",
      "renderKubeconfig",
      "createLeaderElection",
      "createRestTransport",
      "retryOnConflict",
      "runWorkers",
      "createWorkqueue",
    ]
  `)
  expect(Object.keys(await import('./fake/index.ts'))).toMatchInlineSnapshot(`
    [
      "FakeApiServer",
    ]
  `)
})
