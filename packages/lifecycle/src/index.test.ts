import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/lifecycle')).toSorted()).toMatchInlineSnapshot(`
    [
      "BoundedQueue",
      "FakeClock",
      "append",
      "backoffDelay",
      "greatestOf",
      "invariant",
      "leastOf",
      "noLogger",
      "noMetrics",
      "retry",
      "runAll",
      "systemClock",
    ]
  `)
})
