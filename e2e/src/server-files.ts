import { createPublicKey } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createCa, generateKey, issueCertificate, type KeyPair } from '@k3s/pki'

/** Who issued the certificates of a server and its clients. */
export interface ServerFiles {
  readonly ca: KeyPair
  /** A member of system:masters. */
  readonly admin: KeyPair
}

/**
 * Writes into `folder` what an API server on 127.0.0.1 needs: `ca.crt` and `ca.key` (of its clients, of itself and of front proxies), `server.crt`
 * and `server.key`, `proxy.crt` and `proxy.key` (as whom it speaks to servers behind it), `accounts.key` and `accounts.pub` (tokens of service accounts).
 */
export async function writeServerFiles(folder: string): Promise<ServerFiles> {
  const ca = await createCa('test-ca')
  const [server, proxy, admin, accounts] = await Promise.all([
    issueCertificate(ca, { commonName: 'kube-apiserver', sans: ['127.0.0.1'], usages: ['server'] }),
    issueCertificate(ca, { commonName: 'front-proxy', usages: ['client'] }),
    issueCertificate(ca, { commonName: 'admin', organizations: ['system:masters'], usages: ['client'] }),
    generateKey(),
  ])
  const files = {
    'ca.crt': ca.cert,
    'ca.key': ca.key,
    'server.crt': server.cert,
    'server.key': server.key,
    'proxy.crt': proxy.cert,
    'proxy.key': proxy.key,
    'accounts.key': accounts,
    'accounts.pub': createPublicKey(accounts).export({ type: 'spki', format: 'pem' }).toString(),
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return { ca, admin }
}

/** Arguments for an etcd of one member on loopback, with its data in `etcd` below its working directory. */
export function etcdArguments(clientPort: number, peerPort: number): readonly string[] {
  const [clients, peers] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`]
  return [
    '--name=one',
    '--data-dir=etcd',
    '--log-level=warn',
    `--initial-cluster=one=${peers}`,
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
  ]
}

/** Arguments for a kube-apiserver on loopback that is set up as ours is, in a folder with {@link writeServerFiles}; `etcdUrl` may be anything that speaks etcd's API. */
export function apiServerArguments(port: number, etcdUrl: string): readonly string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    '--cert-dir=.',
    '--tls-cert-file=server.crt',
    '--tls-private-key-file=server.key',
    '--client-ca-file=ca.crt',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    '--service-account-key-file=accounts.pub',
    '--service-account-signing-key-file=accounts.key',
    '--service-cluster-ip-range=10.43.0.0/16',
    '--authorization-mode=Node,RBAC',
    '--endpoint-reconciler-type=none',
    '--allow-privileged=true',
    '--enable-admission-plugins=NodeRestriction',
  ]
}
