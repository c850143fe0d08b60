import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { createCa, isSignedBy, issueCertificate, needsRenewal, readCertificate, type KeyPair, type LeafOptions } from '@k3s/pki'
import { FatalError } from '../errors.ts'
import { readIfThere, writeAtomically } from '../files.ts'

/** What a server needs of keys and certificates; files and names as K3s lays them out under SRV/tls. */
export interface ServerTls {
  readonly clientCa: KeyPair
  readonly serverCa: KeyPair
  readonly requestHeaderCa: KeyPair
  /** Signs and verifies service-account tokens: private key PEM (RSA 2048). */
  readonly serviceAccountKey: string
  readonly admin: KeyPair
  readonly controller: KeyPair
  readonly scheduler: KeyPair
  readonly apiserver: KeyPair
  readonly kubeProxy: KeyPair
  readonly k3sController: KeyPair
  /** As a front proxy, to aggregated API servers; by the request header CA. */
  readonly authProxy: KeyPair
  readonly serving: KeyPair
}

// K3s renews what is within 120 days of its end.
const renewalDays = 120

function readPair(folder: string, name: string): KeyPair | undefined {
  const cert = readIfThere(join(folder, `${name}.crt`))
  const key = readIfThere(join(folder, `${name}.key`))
  return cert === undefined || key === undefined ? undefined : { cert, key }
}

function writePair(folder: string, name: string, pair: KeyPair): void {
  writeAtomically(join(folder, `${name}.key`), pair.key)
  writeAtomically(join(folder, `${name}.crt`), pair.cert, 0o644)
}

function damaged(folder: string, name: string, cause?: unknown): FatalError {
  const files = `"${join(folder, `${name}.crt`)}" and "${join(folder, `${name}.key`)}"`
  return new FatalError(`Cannot use ${files}: they are no certificate and its key in PEM form; restore them from a backup`, { cause })
}

/** Reads a CA or makes it. One that is damaged is refused: everything of the cluster hangs on it, so a new one is no help. */
async function ensureCa(folder: string, name: string): Promise<KeyPair> {
  const existing = readPair(folder, name)
  if (existing !== undefined) {
    try {
      // A bundle's first certificate is the one that signs.
      if (new X509Certificate(existing.cert).checkPrivateKey(createPrivateKey(existing.key))) return existing
    } catch (cause) {
      throw damaged(folder, name, cause)
    }
    throw damaged(folder, name)
  }
  // The key is written first: without the other one, this is no start that was cut short.
  if (readIfThere(join(folder, `${name}.crt`)) !== undefined) throw damaged(folder, name)
  const made = await createCa(`k3s-${name}@${Math.floor(Date.now() / 1000)}`)
  writePair(folder, name, made)
  return made
}

/** Reads a leaf or makes it anew: when missing, near its end, of another CA, or without a name that is wanted now. Names that it has are kept. */
export async function ensureLeaf(folder: string, name: string, ca: KeyPair, options: LeafOptions): Promise<KeyPair> {
  const existing = readPair(folder, name)
  if (existing !== undefined && isSignedBy(existing, ca.cert) && !needsRenewal(existing.cert, renewalDays)) {
    const { sans } = readCertificate(existing.cert)
    const normal = new Set(sans.map((san) => san.toLowerCase()))
    const missing = (options.sans ?? []).filter((san) => !normal.has(san.toLowerCase()) && !san.includes('::'))
    if (missing.length === 0) return existing
  }
  const made = await issueCertificate(ca, options)
  writePair(folder, name, made)
  return made
}

function ensureServiceAccountKey(folder: string): string {
  const file = join(folder, 'service.key')
  const existing = readIfThere(file)
  if (existing !== undefined) {
    try {
      createPublicKey(createPrivateKey(existing))
      return existing
    } catch (cause) {
      throw new FatalError(`Cannot use "${file}": it is no private key in PEM form; restore it from a backup`, { cause })
    }
  }
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  writeAtomically(file, pem)
  writeAtomically(join(folder, 'service.current.key'), pem)
  return pem
}

/**
 * Reads or makes everything under `folder` (SRV/tls).
 *
 * @param sans names and addresses that the API server's certificate must have besides the fixed ones.
 */
export async function ensureServerTls(
  folder: string,
  options: { readonly sans: readonly string[]; readonly clusterDomain: string },
): Promise<ServerTls> {
  const [clientCa, serverCa, requestHeaderCa] = await Promise.all([
    ensureCa(folder, 'client-ca'),
    ensureCa(folder, 'server-ca'),
    ensureCa(folder, 'request-header-ca'),
  ])
  const client = (name: string, commonName: string, organizations: readonly string[] = []): Promise<KeyPair> =>
    ensureLeaf(folder, name, clientCa, { commonName, organizations, usages: ['client'] })
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', `kubernetes.default.svc.${options.clusterDomain}`]
  const [admin, controller, scheduler, apiserver, kubeProxy, k3sController, authProxy, serving] = await Promise.all([
    client('client-admin', 'system:admin', ['system:masters']),
    client('client-controller', 'system:kube-controller-manager'),
    client('client-scheduler', 'system:kube-scheduler'),
    client('client-kube-apiserver', 'kube-apiserver'),
    client('client-kube-proxy', 'system:kube-proxy'),
    client('client-k3s-controller', 'system:k3s-controller'),
    ensureLeaf(folder, 'client-auth-proxy', requestHeaderCa, { commonName: 'system:auth-proxy', usages: ['client'] }),
    ensureLeaf(folder, 'serving-kube-apiserver', serverCa, {
      commonName: 'kube-apiserver',
      usages: ['server'],
      sans: [...new Set(['localhost', ...service, '127.0.0.1', '::1', ...options.sans])],
    }),
  ])
  return {
    clientCa,
    serverCa,
    requestHeaderCa,
    serviceAccountKey: ensureServiceAccountKey(folder),
    admin,
    controller,
    scheduler,
    apiserver,
    kubeProxy,
    k3sController,
    authProxy,
    serving,
  }
}
