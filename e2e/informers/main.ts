/**
 * Informers of client-go on our API server while objects churn, connections are cut and frozen, history is compacted and the server is ended and killed:
 * `node --conditions=@k3s/source e2e/informers/main.ts [--rounds 2] [--seed 1]`. With WatchList and without. Fails when an informer is not in sync again
 * in time, or was told of something old. Needs Go; says so when there is none.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { renderKubeconfig } from '@k3s/client'
import { freePorts } from '../src/free-ports.ts'
import { NoProgramError } from '../src/programs.ts'
import { ApiProcess } from './api-process.ts'
import { buildClientGoInformers, ClientGoInformers } from './client-go.ts'
import { disturbances, disturbAndCheck } from './disturb.ts'
import { FaultProxy } from './fault-proxy.ts'
import { customResource, kinds, prepareKinds } from './kinds.ts'
import { Writer } from './writer.ts'

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '2' }, seed: { type: 'string', default: '1' } } })
const compactionMs = 2000
// client-go waits up to half a minute between its tries.
const times = { freezeMs: 6000, syncMs: 90_000 }
const writes = 300

async function run(program: string, isWatchList: boolean): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'k3s-informers-'))
  const logFile = join(folder, 'informers.log')
  const [port = 0, proxyPort = 0] = await freePorts(2)
  try {
    await using server = await ApiProcess.start({ port, compactionMs })
    await prepareKinds(server.transport)
    await using proxy = await FaultProxy.start(proxyPort, port)
    const kubeconfig = join(folder, 'kubeconfig')
    const { ca, admin } = server.files
    writeFileSync(kubeconfig, renderKubeconfig({ server: `https://127.0.0.1:${proxyPort}`, ca: ca.cert, ...admin }))
    await using informers = new ClientGoInformers({ program, kubeconfig, resource: customResource, isWatchList, logFile })
    const scene = { server, proxy, kinds, writes, times, writer: new Writer(server.transport, kinds, Number(values.seed)) }
    for (let round = 1; round <= Number(values.rounds); round++)
      for (const [name, disturb] of Object.entries(disturbances)) {
        const began = performance.now()
        const answered = await disturbAndCheck(scene, informers, disturb)
        const seconds = ((performance.now() - began) / 1000).toFixed(1)
        console.log(`${isWatchList ? 'WatchList' : 'lists'}, round ${round}, ${name}: in sync after ${answered} writes (${seconds} s)`)
      }
  } catch (error) {
    console.error(readFileSync(logFile, 'utf8').split('\n').slice(-20).join('\n'))
    throw error
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  const program = await buildClientGoInformers()
  for (const isWatchList of [true, false]) await run(program, isWatchList)
} catch (error) {
  if (error instanceof NoProgramError) console.error(`NOT RUN: informers of client-go, because ${error.message}`)
  else console.error(error instanceof Error ? error.message : error)
  process.exitCode = error instanceof NoProgramError ? 2 : 1
}
