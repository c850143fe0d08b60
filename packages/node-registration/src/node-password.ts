import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { hasReason } from '@k3s/api'
import { nodes, secrets } from '@k3s/api/types/core/v1'
import type { Client, InformerFactory } from '@k3s/client'
import { noLogger, type Logger, type Service } from '@k3s/lifecycle'

// K3s's parameters, which stand in every hash: 2^15 rounds, block size 8, one lane, 64 bytes.
const rounds = { log2N: 15, r: 8, p: 1 }
const hashBytes = 64
const namespace = 'kube-system'

const secretName = (nodeName: string): string => `${nodeName.toLowerCase()}.node-password.k3s`

function derive(password: string, salt: Buffer, { log2N, r, p }: typeof rounds): Promise<Buffer> {
  const N = 2 ** log2N
  return new Promise((resolve, reject) =>
    scrypt(password, salt, hashBytes, { N, r, p, maxmem: 256 * N * r }, (error, key) => (error === null ? resolve(key) : reject(error))),
  )
}

/** `$1:<salt hex>:15:8:1:<base64, unpadded>`, as K3s stores it. Takes about 100 ms of another thread. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(8)
  const key = await derive(password, salt, rounds)
  return `$1:${salt.toString('hex')}:${rounds.log2N}:${rounds.r}:${rounds.p}:${key.toString('base64').replace(/=+$/, '')}`
}

/** True when `password` has this hash; false for a hash of another form. */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const match = /^\$1:([0-9a-f]+):(\d{1,2}):(\d{1,2}):(\d{1,2}):([A-Za-z0-9+/]+)$/.exec(hash)
  if (match === null) return false
  const expected = Buffer.from(match[5] ?? '', 'base64')
  const parameters = { log2N: Number(match[2]), r: Number(match[3]), p: Number(match[4]) }
  // A hash that somebody made costly must not stop the server.
  if (parameters.log2N > 17 || parameters.r > 16 || parameters.p > 4) return false
  const actual = await derive(password, Buffer.from(match[1] ?? '', 'hex'), parameters)
  return actual.length === expected.length && timingSafeEqual(actual, expected)
}

export type NodePasswordResult = 'accepted' | 'rejected'

/**
 * Checks a node's password against the Secret `<node>.node-password.k3s` in kube-system, which the node's first request makes.
 * Two machines of one name are told apart by it. Throws when the Secret can neither be read nor made.
 */
export async function ensureNodePassword(client: Client, nodeName: string, password: string): Promise<NodePasswordResult> {
  const secret = client.resource(secrets)
  const name = secretName(nodeName)
  for (let attempt = 0; ; attempt++) {
    try {
      const existing = await secret.get(name, { namespace })
      const hash = Buffer.from(existing.data?.['hash'] ?? '', 'base64').toString()
      return (await verifyPassword(password, hash)) ? 'accepted' : 'rejected'
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
    try {
      const hash = await hashPassword(password)
      await secret.create({
        metadata: { name, namespace },
        immutable: true,
        data: { hash: Buffer.from(hash).toString('base64') },
        type: 'Opaque',
      })
      return 'accepted'
    } catch (error) {
      // Another request made it in between: what it says counts.
      if (!hasReason(error, 'AlreadyExists') || attempt > 2) throw error
    }
  }
}

/** Deletes the password of a node whose Node object was deleted, so that a new machine may take the name. */
export function createNodePasswordCleaner(options: {
  readonly client: Client
  readonly informers: InformerFactory
  readonly logger?: Logger | undefined
}): Service {
  const logger = options.logger ?? noLogger
  const informer = options.informers.informer(nodes)
  return {
    name: 'node-password-cleaner',
    async run({ signal, ready }) {
      const clean = async (node: string): Promise<void> => {
        try {
          await options.client.resource(secrets).delete(secretName(node), { namespace, signal })
          logger.info({ node }, 'Removed the password of a deleted node')
        } catch (err) {
          if (!signal.aborted && !hasReason(err, 'NotFound')) logger.warn({ node, err }, 'Cannot remove the password of a deleted node')
        }
      }
      const pending = new Set<Promise<void>>()
      const remove = informer.addHandler({
        delete: ({ metadata }) => {
          const work = clean(metadata.name).finally(() => pending.delete(work))
          pending.add(work)
        },
      })
      ready()
      if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      remove()
      await Promise.all(pending)
    },
  }
}
