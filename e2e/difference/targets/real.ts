import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Target } from '../client.ts'

/** A server that runs already; `pki` holds ca.crt, admin.crt and admin.key. */
export async function existingServer(url: string, pki: string): Promise<Target & AsyncDisposable> {
  const [ca, cert, key] = await Promise.all(['ca.crt', 'admin.crt', 'admin.key'].map((file) => readFile(join(pki, file), 'utf8')))
  return { name: 'real', url, tls: { ca: ca ?? '', cert: cert ?? '', key: key ?? '' }, [Symbol.asyncDispose]: async () => {} }
}

/** To come. */
export async function startReal(): Promise<Target & AsyncDisposable> {
  throw new Error('Cannot start a real server yet')
}
