/**
 * How long hostile requests hold the event loop of a server: `node --conditions=@k3s/source bench/hostile.ts [FILTER] [BYTES]`.
 * Times are CPU time of the server's thread in one turn, so that a busy machine changes them little. Prints the longest turn by input, worst first.
 */
import { Worker } from 'node:worker_threads'
import { configmaps } from '@k3s/api/types/core/v1'
import { generateKey } from '@k3s/pki'
import { openDatastore } from '@k3s/datastore'
import { builtInParts, createApiServer, SigningKeys } from '../src/index.ts'
import { hostileInputs } from '../test/hostile-inputs.ts'
import type { Reply, Shot } from './hostile-client.ts'

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
const client = new Worker(new URL('./hostile-client.ts', import.meta.url), { workerData: listening.url })
const shoot = (shot: Shot): Promise<Reply> =>
  new Promise((resolve) => {
    client.once('message', resolve)
    client.postMessage(shot)
  })
const target = Buffer.from(JSON.stringify({ metadata: { name: 'target' }, data: { a: 'b' } }))
for (const name of ['target', 'warm'])
  await shoot({
    method: 'POST',
    path: '/api/v1/namespaces/default/configmaps',
    contentType: 'application/json',
    body: Buffer.from(target.toString().replace('target', name)),
  })

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
await shoot({
  method: 'POST',
  path: '/api/v1/namespaces/default/serviceaccounts',
  contentType: 'application/json',
  body: Buffer.from('{"metadata":{"name":"default"}}'),
})
// Lists are long, too.
for (let at = 0; at < 5000; at++)
  await server.operations.create(configmaps, {
    metadata: { name: `many-${at}`, namespace: 'kube-public', labels: { app: `a${at % 10}`, index: String(at) } },
    data: { text: 'x'.repeat(1000) },
  })

const probe = new TurnProbe()
const all: Measured[] = []
for (const { name, method, path, contentType, headers, body } of hostileInputs(Number(bytes))) {
  if (!name.includes(filter)) continue
  const shot: Shot = { method, path, contentType, headers, body: body?.() }
  await new Promise((resolve) => setTimeout(resolve, 5))
  probe.reset()
  const began = now()
  const reply = await shoot(shot)
  all.push({ name, ms: probe.longest, total: now() - began, reply })
  if (method === 'GET') continue
  for (const made of madePaths) await shoot({ method: 'DELETE', path: made, contentType: undefined, body: undefined })
}
probe.stop()
await client.terminate()
for (const { name, ms, total, reply } of all.toSorted((left, right) => right.ms - left.ms))
  console.log(
    `${ms.toFixed(1).padStart(8)} ms of ${total.toFixed(0).padStart(6)}  ${String(reply.status).padStart(3)} ${reply.reason.padEnd(24)} ${String(reply.bytes).padStart(8)}  ${name}`,
  )
