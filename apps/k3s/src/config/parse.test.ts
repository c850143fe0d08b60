import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CommanderError } from 'commander'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UsageError } from '../errors.ts'
import { flags, flagsOf } from './flags.ts'
import { buildCommand, resolveFlags, splitUnknown, usageErrorOf, type ParsedFlags } from './parse.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'))
  file = join(folder, 'config.yaml')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** What the program makes of a command line, an environment and the file. */
function parse(args: readonly string[], env: Readonly<Record<string, string>> = {}): ParsedFlags {
  const command = buildCommand('server', '', 'server')
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
  command.action(() => {})
  try {
    command.parse(splitUnknown(args), { from: 'user' })
  } catch (error) {
    throw error instanceof CommanderError ? usageErrorOf(error) : error
  }
  return resolveFlags('server', command.opts(), { K3S_CONFIG_FILE: file, ...env })
}

const write = (content: string): void => writeFileSync(file, content)

describe('flags', () => {
  it('have one name, one short name and one variable each', () => {
    for (const command of ['server', 'agent'] as const) {
      const known = flagsOf(command)
      const unique = (values: readonly (string | undefined)[]): boolean => {
        const given = values.filter((value) => value !== undefined)
        return new Set(given).size === given.length
      }
      expect(unique(known.map(({ name }) => name)), command).toBe(true)
      expect(unique(known.map(({ short }) => short)), command).toBe(true)
      expect(unique(known.map(({ env }) => env)), command).toBe(true)
    }
  })

  it('are all told by --help', () => {
    const help = buildCommand('server', '', 'server').helpInformation()
    for (const { name } of flagsOf('server')) expect(help).toContain(`--${name}`)
    expect(flags.length).toBeGreaterThan(40)
  })
})

describe('resolveFlags()', () => {
  beforeEach(() => write(''))

  it('takes the command line before the file, the file before the environment, the environment before the default', () => {
    const env = { K3S_TOKEN: 'from-env' }
    expect(parse([]).values.string('token')).toBeUndefined()
    expect(parse([], env).values.string('token')).toBe('from-env')
    write('token: from-file\n')
    expect(parse([], env).values.string('token')).toBe('from-file')
    expect(parse(['--token', 'from-line'], env).values.string('token')).toBe('from-line')
    expect(parse(['-t', 'short'], env).values.string('token')).toBe('short')
    expect(parse(['--token=one', '--token=two']).values.string('token')).toBe('two')
  })

  it('reads lists by repetition and by commas, from the line and the file', () => {
    expect(parse(['--disable', 'coredns,traefik', '--disable=servicelb']).values.list('disable')).toEqual([
      'coredns',
      'traefik',
      'servicelb',
    ])
    write('disable: [coredns, traefik]\n')
    expect(parse([]).values.list('disable')).toEqual(['coredns', 'traefik'])
    write('disable: coredns,traefik\n')
    expect(parse([]).values.list('disable')).toEqual(['coredns', 'traefik'])
  })

  it('reads booleans with and without a value', () => {
    expect(parse([]).values.boolean('disable-agent')).toBe(false)
    expect(parse(['--disable-agent']).values.boolean('disable-agent')).toBe(true)
    write('disable-agent: true\n')
    expect(parse([]).values.boolean('disable-agent')).toBe(true)
    expect(parse(['--disable-agent=false']).values.boolean('disable-agent')).toBe(false)
    expect(() => parse(['--disable-agent=maybe'])).toThrow(
      new UsageError('Cannot use "maybe" for --disable-agent: true or false is needed'),
    )
  })

  it('reads drop-ins in order, where a plus appends', () => {
    write('node-label: [a=1]\ndata-dir: /first\n')
    mkdirSync(`${file}.d`)
    writeFileSync(join(`${file}.d`, '20.yaml'), 'data-dir: /third\nnode-label+: [c=3]\n')
    writeFileSync(join(`${file}.d`, '10.yml'), 'data-dir: /second\nnode-label+: b=2\n')
    writeFileSync(join(`${file}.d`, 'note.txt'), '}{')
    const { values } = parse([])
    expect(values.string('data-dir')).toBe('/third')
    expect(values.list('node-label')).toEqual(['a=1', 'b=2', 'c=3'])
  })

  it('warns of keys that no command has and passes over those of the other command', () => {
    write('colour: green\nlb-server-port: 7000\n')
    expect(parse([]).warnings).toEqual(['Configuration file: key "colour" is not known and was skipped'])
  })

  it.each([
    ['a: [', /^Cannot read configuration file ".*config\.yaml": .* at line 1, column 5$/],
    ['- a', /: it must be a mapping of flag names to values$/],
    ['node-label: {a: b}', /: the value of "node-label" must be a text, number, boolean or a list of these$/],
    ['https-listen-port: many', /^Cannot use "many" for --https-listen-port: an integer is needed$/],
  ])('refuses the file %j in one sentence', (content, sentence) => {
    write(content)
    expect(() => parse([])).toThrow(UsageError)
    expect(() => parse([])).toThrow(sentence)
  })

  it('refuses a file that was asked for and does not exist', () => {
    expect(() => parse(['--config', '/none.yaml'])).toThrow('Cannot read configuration file "/none.yaml": it does not exist')
  })

  it('refuses what is not supported yet by its name', () => {
    const unsupported = flagsOf('server').filter((flag) => flag.unsupported !== undefined)
    expect(unsupported.length).toBeGreaterThan(0)
    for (const { name, type, unsupported: why } of unsupported)
      expect(() => parse(type === 'boolean' ? [`--${name}`] : [`--${name}`, 'x'])).toThrow(`Cannot use --${name}: ${why ?? ''}`)
  })
})

describe('usageErrorOf()', () => {
  beforeEach(() => write(''))

  it.each([
    [['--no-such-thing'], `Unknown option '--no-such-thing'`],
    [['--data-dri=/x'], `Unknown option '--data-dri' (Did you mean --data-dir?)`],
    [['--data-dri', '/x'], `Unknown option '--data-dri' (Did you mean --data-dir?)`],
    [['--token'], `Option '-t, --token <value>' argument missing`],
  ])('says of %j in one sentence what is wrong', (args, sentence) => {
    expect(() => parse(args)).toThrow(new UsageError(sentence))
  })
})
