import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ApiProcess } from './informers/api-process.ts'
import { ClientNodeInformers } from './informers/client-node.ts'
import { disturbances, disturbAndCheck, freezeAndCut, Monotony, type Scene } from './informers/disturb.ts'
import { FaultProxy } from './informers/fault-proxy.ts'
import { kinds, prepareKinds } from './informers/kinds.ts'
import { Writer } from './informers/writer.ts'
import { freePorts } from './src/free-ports.ts'

// History is gone before a frozen connection goes on.
const compactionMs = 1000
// Much less than the half minute after which a silent watch begins anew and mends what was missed.
const times = { freezeMs: 2500, syncMs: 15_000 }
const writes = 40
const followed = kinds.filter(({ name }) => /^(configmaps|pods|services|deployments\.apps|gadgets)/.test(name))

describe('informers of @kubernetes/client-node come to what the server has', () => {
  const stack = new AsyncDisposableStack()
  let scene: Scene
  let informers: ClientNodeInformers

  beforeAll(async () => {
    const [port = 0, proxyPort = 0] = await freePorts(2)
    const server = stack.use(await ApiProcess.start({ port, compactionMs }))
    await prepareKinds(server.transport)
    const proxy = stack.use(await FaultProxy.start(proxyPort, port))
    scene = { server, proxy, writer: new Writer(server.transport, followed, 1), kinds: followed, writes, times }
    informers = stack.use(new ClientNodeInformers(`https://127.0.0.1:${proxyPort}`, server.files, followed))
    await informers.start()
  })

  afterAll(() => stack.disposeAsync())

  it.each(Object.entries(disturbances).filter(([, disturb]) => disturb !== freezeAndCut))(
    'while objects churn and %s',
    async (_, disturb) => {
      expect(await disturbAndCheck(scene, informers, disturb)).toBeGreaterThanOrEqual(2 * writes)
    },
  )

  it('while objects churn and connections freeze, are cut, and what was missed is compacted: by listing again', async () => {
    const lists = informers.lists
    await disturbAndCheck(scene, informers, freezeAndCut)
    expect(informers.lists).toBeGreaterThan(lists)
  })
})

describe('an event that goes back', () => {
  it('is found, for each key by itself', () => {
    const monotony = new Monotony()
    for (const [key, version] of [
      ['default/a', '9'],
      ['default/b', '10'],
      ['default/a', '10'],
      ['default/b', '9'],
    ] as const)
      monotony.see('pods', key, version)
    expect(monotony.complaints).toEqual(['pods default/b went back from 10 to 9'])
  })
})
