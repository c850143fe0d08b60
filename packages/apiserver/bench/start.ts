/** How long `createApiServer` takes on `memory:`, in milliseconds: `node --conditions=@k3s/source bench/start.ts [ROUNDS]`. */
import { openDatastore } from '@k3s/datastore'
import { generateKey } from '@k3s/pki'
import { builtInParts, createApiServer, SigningKeys, type ApiServerOptions } from '../src/index.ts'

const rounds = Number(process.argv[2] ?? 15)

async function measure(name: string, parts: () => Promise<Omit<ApiServerOptions, 'datastore'>>): Promise<void> {
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    await using datastore = await openDatastore('memory:')
    const options = { ...(await parts()), datastore }
    const begin = performance.now()
    const server = await createApiServer(options)
    times.push(performance.now() - begin)
    await server.close({ graceMs: 10 })
  }
  const sorted = times.toSorted((left, right) => left - right)
  const shown = [times[0], sorted[Math.floor(rounds / 2)], sorted.at(-1)].map((time) => (time ?? 0).toFixed(0))
  console.log(`${name.padEnd(10)} first ${shown[0]}, p50 ${shown[1]}, slowest ${shown[2]}`)
}

await measure('core', () => Promise.resolve({}))
await measure('built-in', async () => {
  const serviceAccounts = {
    keys: new SigningKeys([await generateKey()]),
    issuers: ['https://issuer.example'],
    baseUrl: 'https://127.0.0.1',
  }
  return builtInParts({ serviceCidrs: ['10.43.0.0/16'], serviceAccounts })
})
