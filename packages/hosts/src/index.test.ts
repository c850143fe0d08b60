import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/hosts')).toSorted()).toMatchInlineSnapshot(`
    [
      "createLab",
    ]
  `)
})
