import { services } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory } from '@k3s/client'
import { FakeApiServer } from '@k3s/client/fake'
import { FakeClock } from '@k3s/lifecycle'
import { afterEach, describe, expect, it } from 'vitest'
import { CommandError, type RunCommand } from '../command.ts'
import { createServiceProxy } from './service-proxy.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean()
})

/** A proxy on a fake cluster; `calls` are the inputs of nft, `fail` makes the next command fail. */
async function start() {
  const client = createClient(new FakeApiServer())
  const informers = createInformerFactory(client)
  const clock = new FakeClock()
  const calls: string[] = []
  const state = { fails: '' }
  const run: RunCommand = (command, args, options) => {
    calls.push(options?.input ?? [command, ...args].join(' '))
    if (state.fails !== '' && (options?.input ?? args.join(' ')).includes(state.fails)) {
      state.fails = ''
      return Promise.reject(new CommandError(command, args, 'no'))
    }
    return Promise.resolve('')
  }
  const stop = new AbortController()
  const proxy = createServiceProxy({ informers, nodeName: 'a', clusterCidrs: ['10.42.0.0/16'], clock, run })
  const ready = Promise.withResolvers<void>()
  const running = [informers.run({ signal: stop.signal, ready() {} }), proxy.run({ signal: stop.signal, ready: ready.resolve })]
  cleanups.push(() => {
    stop.abort()
    return Promise.all(running)
  })
  await ready.promise
  const addService = (name: string, ip: string): Promise<unknown> =>
    client.resource(services).create({
      metadata: { name, namespace: 'default' },
      spec: { clusterIP: ip, clusterIPs: [ip], ports: [{ port: 80, protocol: 'TCP' }] },
    })
  return { clock, calls, state, addService }
}

const isRuleset = (call: string): boolean => call.includes('add table')

describe('createServiceProxy()', () => {
  it('programs the rules at its start and after changes', async () => {
    const { clock, calls, addService } = await start()
    expect(calls.filter(isRuleset)).toHaveLength(1)
    await addService('web', '10.43.0.7')
    await expect
      .poll(async () => {
        await clock.advance(100)
        return calls.some((call) => call.includes('10.43.0.7'))
      })
      .toBe(true)
  })

  it('programs them again when somebody removed them', async () => {
    const { clock, calls, state } = await start()
    state.fails = 'list chain'
    await expect
      .poll(async () => {
        await clock.advance(30_000)
        return calls.filter((call) => isRuleset(call) && call.includes('delete table')).length
      })
      .toBe(2)
  })

  it('makes the table anew after a transaction that failed', async () => {
    const { clock, calls, state, addService } = await start()
    state.fails = '10.43.0.7'
    await addService('web', '10.43.0.7')
    await expect
      .poll(async () => {
        await clock.advance(1000)
        return calls.filter((call) => call.includes('10.43.0.7')).at(-1)
      })
      .toContain('delete table')
  })
})
