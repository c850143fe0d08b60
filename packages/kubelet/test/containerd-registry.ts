import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { writeTar } from '../src/containerd/tar.ts'

export interface TestRegistry {
  readonly port: number
  /** Paths with their queries, of requests that were let in. */
  readonly requests: readonly string[]
  close(): void
}

/** A registry on loopback with one image, `name:1`, for who has the credentials ("user:password"). */
export async function startRegistry(name: string, credentials: string): Promise<TestRegistry> {
  const layer = writeTar([{ name: 'hello', content: Buffer.from('hello') }])
  const architecture = process.arch === 'x64' ? 'amd64' : 'arm64'
  const config = Buffer.from(
    JSON.stringify({ architecture, os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] } }),
  )
  const describe = (mediaType: string, blob: Buffer) => ({ mediaType, size: blob.length, digest: `sha256:${sha256(blob)}` })
  const manifestType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      config: describe('application/vnd.oci.image.config.v1+json', config),
      layers: [describe('application/vnd.oci.image.layer.v1.tar', layer)],
    }),
  )
  const blobs = new Map([layer, config, manifest].map((blob) => [`sha256:${sha256(blob)}`, blob]))
  const requests: string[] = []
  const server = createServer((request, response) => {
    if (request.headers.authorization !== `Basic ${Buffer.from(credentials).toString('base64')}`) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end()
      return
    }
    requests.push(request.url ?? '')
    const { pathname } = new URL(request.url ?? '', 'http://localhost')
    const [, kind, reference = ''] = new RegExp(`^/v2/${name}/(manifests|blobs)/(.*)$`).exec(pathname) ?? []
    const blob = kind === 'manifests' && reference === '1' ? manifest : blobs.get(reference)
    if (blob === undefined) {
      response.writeHead(404).end()
      return
    }
    response.writeHead(200, {
      'content-type': kind === 'manifests' ? manifestType : 'application/octet-stream',
      'content-length': blob.length,
      'docker-content-digest': `sha256:${sha256(blob)}`,
    })
    response.end(request.method === 'HEAD' ? undefined : blob)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { port: (server.address() as AddressInfo).port, requests, close: () => void server.close() } // it listens on TCP
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
