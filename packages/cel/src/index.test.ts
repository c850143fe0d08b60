import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/cel')).toSorted()).toMatchInlineSnapshot(`
    [
      "CompileError",
      "Duration",
      "Environment",
      "EvaluationError",
      "ListValue",
      "MapValue",
      "Opaque",
      "Optional",
      "Timestamp",
      "Uint",
      "anyValue",
      "authorizerValue",
      "dyn",
      "formatType",
      "isEqual",
      "listOf",
      "mapOf",
      "none",
      "opaque",
      "optionalOf",
      "parseDuration",
      "parseTimestamp",
      "resourceCheckValue",
      "simple",
    ]
  `)
})
