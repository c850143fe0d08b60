import { describe, expect, it } from 'vitest'
import { anyValue, CompileError, Environment, formatType, ListValue, listOf, MapValue, mapOf, simple, type Value } from './index.ts'

const environment = new Environment({
  variables: {
    x: simple('int'),
    s: simple('string'),
    list: listOf(simple('int')),
    map: mapOf(simple('string'), simple('int')),
    d: { kind: 'dyn' },
  },
})
const values: Readonly<Record<string, Value>> = {
  x: 3n,
  s: 'hello',
  list: new ListValue([1n, 2n, 3n]),
  map: new MapValue([['a', 1n]]),
  d: 'text',
}

function run(source: string): Value | string {
  const outcome = environment.compile(source).evaluate(values, 1_000_000)
  return 'error' in outcome ? `error: ${outcome.error}` : outcome.value
}

function problem(source: string): string {
  try {
    environment.compile(source)
    return ''
  } catch (error) {
    if (error instanceof CompileError) return error.message
    throw error
  }
}

describe('expressions', () => {
  it.each([
    ['1 + 2 * 3', 7n],
    ['-9223372036854775808', -9223372036854775808n],
    ['7 / 2', 3n],
    ['-7 % 3', -1n],
    ['1.5 + 2.5', 4],
    ['"a" + \'b\'', 'ab'],
    ['r"\\d" + "\\x41\\u00e9"', '\\dAé'],
    ['x == 3 && s == "hello"', true],
    ['x > 2.5', true],
    ['x in [1, 2, 3]', true],
    ['"a" in map', true],
    ['has(map.a) && !has(map.b)', true],
    ['list[1]', 2n],
    ['map["a"]', 1n],
    ['list.all(i, i > 0)', true],
    ['list.exists(i, i == 2)', true],
    ['list.exists_one(i, i > 2)', true],
    ['list.map(i, i * 2) == [2, 4, 6]', true],
    ['list.filter(i, i > 1).size()', 2n],
    ['map.all(k, map[k] == 1)', true],
    ['list.all(i, v, i + 1 == v)', true],
    ['map.transformList(k, v, k + string(v)) == ["a1"]', true],
    ['map.transformMap(k, v, v + 1)["a"]', 2n],
    ['x > 1 ? "big" : "small"', 'big'],
    ['false && (1 / 0 == 1)', false],
    ['(1 / 0 == 1) || true', true],
    ['[1, 0].exists(i, 6 / i == 6)', true],
    ['type(x) == int && type(s) == string && type({}) == type(map)', true],
    ['size("añb")', 3n],
    ['"héllo".charAt(1)', 'é'],
    ['"a,b,c".split(",", 2) == ["a", "b,c"]', true],
    ['"tacocat".indexOf("c")', 2n],
    ['" x ".trim() + "Ab".lowerAscii()', 'xab'],
    ['"abc".substring(1, 2)', 'b'],
    ['["a", "b"].join("-")', 'a-b'],
    ['"%s is %d and %.2f".format(["x", dyn(5), dyn(1.5)])', 'x is 5 and 1.50'],
    ['"hello".matches("^h.*o$")', true],
    ['"a1b22".findAll("[0-9]+") == ["1", "22"]', true],
    ['[3, 1, 2].isSorted() || [1, 2, 3].isSorted()', true],
    ['[1, 2, 3].sum() + [4, 2].max()', 10n],
    ['[3, 1, 2].sort() == [1, 2, 3]', true],
    ['["bb", "a"].sortBy(e, size(e)) == ["a", "bb"]', true],
    ['sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2])', true],
    ['optional.of(1).orValue(2) + optional.none().orValue(3)', 4n],
    ['map[?"b"].orValue(9)', 9n],
    ['map.?a.optMap(v, v + 1).value()', 2n],
    ['duration("1h30m") > duration("1h")', true],
    ['timestamp("2024-01-02T03:04:05Z").getFullYear()', 2024n],
    ['timestamp("2024-07-01T00:00:00Z").getHours("Europe/Berlin")', 2n],
    ['string(timestamp("2024-01-02T03:04:05.5Z") + duration("1s"))', '2024-01-02T03:04:06.5Z'],
    ['url("https://a.example:80/p?q=1").getHost()', 'a.example:80'],
    ['ip("10.0.0.1").family() == 4 && cidr("10.0.0.0/8").containsIP("10.1.2.3")', true],
    ['quantity("1Gi").isGreaterThan(quantity("1G"))', true],
    ['quantity("50k").add(20) == quantity("50020")', true],
    ['semver("1.2.3").isLessThan(semver("1.10.0"))', true],
    ['isSemver("v1.0", true)', true],
    ['{"a": 1, "b": 2}.size()', 2n],
    ['dyn(1) == 1.0', true],
    ['int("12") + int(2.9)', 14n],
    ['b"\\xff".size()', 1n],
  ])('%s', (source, wanted) => {
    expect(run(source)).toEqual(wanted)
  })

  it.each([
    ['1 / 0 == 1', 'error: division by zero'],
    ['9223372036854775807 + x > 0', 'error: integer overflow'],
    ['list[5] == 1', 'error: index out of bounds: 5'],
    ['map.b == 1', 'error: no such key: b'],
    ['d + 1 == 2', 'error: no such overload'],
  ])('%s fails', (source, wanted) => {
    expect(run(source)).toBe(wanted)
  })

  it('stop when their budget is used up', () => {
    const outcome = environment.compile('list.all(a, list.all(b, list.all(c, a + b + c > 0)))').evaluate(values, 50)
    expect(outcome).toMatchObject({ isOverBudget: true, error: 'operation cancelled: actual cost limit exceeded' })
  })

  it('take time in proportion to the text, whatever the regular expression', () => {
    const outcome = environment.compile('d.matches("^(a+)+$")').evaluate({ d: `${'a'.repeat(5000)}b` }, 10_000_000)
    expect(outcome).toMatchObject({ value: false })
  })
})

describe('Environment.compile()', () => {
  it.each([
    ['y', "ERROR: <input>:1:1: undeclared reference to 'y' (in container '')\n | y\n | ^"],
    ['x + s', "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | x + s\n | ..^"],
    ['s.size(1)', "ERROR: <input>:1:7: found no matching overload for 'size' applied to 'string.(int)'\n | s.size(1)\n | ......^"],
    ['x.foo', "ERROR: <input>:1:2: type 'int' does not support field selection\n | x.foo\n | .^"],
    ['[1, "a"]', "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, \"a\"]\n | ....^"],
    ['s.matches("(")', 'ERROR: <input>:1:11: invalid matches argument\n | s.matches("(")\n | ..........^'],
  ])('%s', (source, wanted) => {
    expect(problem(source)).toBe(wanted)
  })

  it('tells of values from outside by their name', () => {
    const outside = new Environment({ variables: { attributes: mapOf(simple('string'), anyValue) } })
    expect(formatType(outside.compile('attributes').type)).toBe('map(string, google.protobuf.Any)')
    expect(formatType(outside.compile('attributes.x == 1 && attributes.y').type)).toBe('bool')
  })

  it('tells one word too many apart from several', () => {
    expect(problem('x y')).toContain("Syntax error: extraneous input 'y' expecting <EOF>")
    expect(problem('x y z')).toContain("Syntax error: mismatched input 'y' expecting <EOF>")
  })

  it('has no place in an empty expression', () => {
    expect(problem('')).toMatch(/^ERROR: <input>:1:0: Syntax error: mismatched input '<EOF>' expecting \{.*\}$/)
  })

  it('gives values names only when asked to', () => {
    const binding = new Environment({ variables: { x: simple('int') }, bindsNames: true })
    expect(binding.compile('cel.bind(y, x + 1, y * y)').evaluate({ x: 3n }, 1000)).toMatchObject({ value: 16n })
    expect(() => binding.compile('cel.bind(1, x, x)')).toThrow('cel.bind() variable names must be simple identifiers')
    expect(problem('cel.bind(y, x, y)')).toContain("undeclared reference to 'cel'")
  })

  it('refuses what is nested too deeply', () => {
    expect(problem(`${'('.repeat(300)}1${')'.repeat(300)}`)).toContain('expression recursion limit exceeded: 250')
  })
})

describe('Program.estimate()', () => {
  const cost = (source: string, max: number): number => environment.compile(source).estimate(() => ({ min: 0, max })).max

  it('multiplies by the size of what is gone over', () => {
    expect(cost('list.all(i, i > 0)', 10)).toBe(52)
    expect(cost('list.all(i, list.all(j, i > j))', 100)).toBeGreaterThan(50_000)
  })

  it('counts strings by their characters', () => {
    expect(cost('s == "hello"', 1000)).toBe(2)
    expect(cost('s.contains(s)', 1000)).toBe(10_002)
  })
})
