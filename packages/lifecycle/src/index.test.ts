import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/lifecycle')).toSorted()).toMatchInlineSnapshot(`
    [
      "BoundedQueue",
      "FakeClock",
      "backoffDelay",
      "invariant",
      "noLogger",
      "noMetrics",
      "retry",
      "runAll",
      "systemClock",
    ]
  `)
})
