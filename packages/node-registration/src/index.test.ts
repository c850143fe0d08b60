import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/node-registration')).toSorted()).toMatchInlineSnapshot(`
    [
      "JoinError",
      "connectSupervisor",
      "createNodePasswordCleaner",
      "createSupervisor",
      "ensureNodePassword",
      "ensureNodePasswordFile",
      "hashPassword",
      "isJoinError",
      "joinCluster",
      "parseClusterConfig",
      "renderClusterConfig",
      "verifyPassword",
    ]
  `)
})
