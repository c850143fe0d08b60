/**
 * How long hostile requests hold the event loop of a server: `node --conditions=@k3s/source bench/hostile.ts [FILTER] [BYTES]`.
 * Times are CPU time of the server's thread in one turn, so that a busy machine changes them little. Prints the longest turn by input, worst first.
 */
import { Worker } from 'node:worker_threads'
import { configmaps, serviceaccounts } from '@k3s/api/types/core/v1'
import { createCa, generateKey, issueCertificate } from '@k3s/pki'
import { openDatastore } from '@k3s/datastore'
import { builtInParts, createApiServer, SigningKeys } from '../src/index.ts'
import { hostileInputs, type HostileInput } from '../test/hostile-inputs.ts'
import type { ClientData, Reply, Shot } from './hostile-client.ts'
import { everyInput, hostileScenes } from './hostile-scenes.ts'

const [filter = '', bytes = String(3 * 1024 * 1024)] = process.argv.slice(2)

/** The longest turn since the last reset, in milliseconds of this thread's CPU time. */
class TurnProbe {
  #last = 0
  #longest = 0
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#last = now()
    this.#timer = setInterval(() => this.#tick(), 1)
  }

  #tick(): void {
    const time = now()
    this.#longest = Math.max(this.#longest, time - this.#last)
    this.#last = time
  }

  reset(): void {
    this.#last = now()
    this.#longest = 0
  }

  get longest(): number {
    this.#tick()
    return this.#longest
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

function now(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

await using datastore = await openDatastore('memory:')
const serviceAccounts = { keys: new SigningKeys([await generateKey()]), issuers: ['https://issuer.example'], baseUrl: 'https://127.0.0.1' }
await using server = await createApiServer({
  ...builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts }),
  datastore,
  // Everybody may do everything: what is measured comes behind authorization.
  authenticators: [{ name: 'test', authenticate: () => Promise.resolve({ user: { name: 'admin', groups: ['system:masters'] } }) }],
})
await using listening = await server.listen({ port: 0 })
const ca = await createCa('webhook-ca')
const { cert, key } = await issueCertificate(ca, { commonName: 'webhook', sans: ['127.0.0.1'], usages: ['server'] })
const size = Number(bytes)
const caBundle = Buffer.from(ca.cert).toString('base64')
const workerData: ClientData = { size, url: listening.url, caBundle, cert, key }
const client = new Worker(new URL('./hostile-client.ts', import.meta.url), { workerData })
const webhookPort = await new Promise<number>((resolve) => client.once('message', resolve))
const scenes = hostileScenes(size, { url: `https://127.0.0.1:${webhookPort}/`, caBundle })
// Bodies are made by the client: what that leaves to be collected is not this thread's.
const places = new Map(everyInput(size, scenes).map((input, at) => [input, at]))
const post = (shot: Shot): Promise<Reply> =>
  new Promise((resolve) => {
    client.once('message', resolve)
    client.postMessage(shot)
  })
function shoot(input: HostileInput): Promise<Reply> {
  const place = places.get(input)
  if (place === undefined) throw new Error(`The client does not know ${input.name}`)
  return post(place)
}
const remove = (path: string): Promise<Reply> => post({ method: 'DELETE', path })
for (const name of ['target', 'warm'])
  await server.operations.create(configmaps, { metadata: { name, namespace: 'default' }, data: { a: 'b' } })

/** What the requests make, and leave for the next to make again. */
const madePaths = [
  ...['configmaps', 'pods', 'services', 'secrets'].map((resource) => `/api/v1/namespaces/default/${resource}/x`),
  '/apis/apps/v1/namespaces/default/deployments/x',
  '/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/x',
  '/apis/rbac.authorization.k8s.io/v1/clusterroles/x',
  '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/x',
  '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/xs.hostile.io',
]

interface Measured {
  readonly name: string
  readonly ms: number
  readonly total: number
  readonly reply: Reply
}

// What is refused by admission is not judged any further.
await server.operations.create(serviceaccounts, { metadata: { name: 'default', namespace: 'default' } })
// Lists are long, too.
for (let at = 0; at < 5000; at++)
  await server.operations.create(configmaps, {
    metadata: { name: `many-${at}`, namespace: 'kube-public', labels: { app: `a${at % 10}`, index: String(at) } },
    data: { text: 'x'.repeat(1000) },
  })

// What a request leaves to be done behind its answer takes turns, too.
const settleMs = 40
const pause = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms))

const probe = new TurnProbe()
const all: Measured[] = []

async function measure(input: HostileInput): Promise<void> {
  await pause(5)
  probe.reset()
  const began = now()
  const reply = await shoot(input)
  await pause(settleMs)
  all.push({ name: input.name, ms: probe.longest, total: now() - began, reply })
}

async function answers(path: string): Promise<void> {
  while ((await post({ method: 'GET', path })).status !== 200) await pause(50)
}

for (const input of [...places.keys()].slice(0, hostileInputs(size).length)) {
  if (!input.name.includes(filter)) continue
  await measure(input)
  if (input.method !== 'GET') for (const path of madePaths) await remove(path)
}
for (const scene of scenes) {
  const chosen = scene.shots.filter(({ name }) => name.includes(filter))
  if (chosen.length === 0) continue
  for (const input of scene.before) {
    const { status, reason } = await shoot(input)
    if (status >= 300) console.log(`cannot prepare ${chosen[0]?.name ?? ''}: ${status} ${reason}`)
  }
  if (scene.ready !== undefined) await answers(scene.ready)
  for (const input of scene.behind ?? []) await shoot(input)
  for (const input of chosen) {
    await measure(input)
    if (input.method === 'POST') await remove(`${input.path}/scene`)
  }
  for (const path of scene.made) await remove(path)
}
probe.stop()
await client.terminate()
for (const { name, ms, total, reply } of all.toSorted((left, right) => right.ms - left.ms))
  console.log(
    `${ms.toFixed(1).padStart(8)} ms of ${total.toFixed(0).padStart(6)}  ${String(reply.status).padStart(3)} ${reply.reason.padEnd(24)} ${String(reply.bytes).padStart(8)}  ${name}`,
  )
