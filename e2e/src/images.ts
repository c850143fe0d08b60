import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { pack } from 'tar-stream'
import { buffer } from 'node:stream/consumers'

/** A file of an image's single layer. */
interface Entry {
  readonly name: string
  readonly content?: Buffer | undefined
  /** Makes it a symbolic link. */
  readonly link?: string | undefined
  readonly isFolder?: boolean | undefined
  readonly mode?: number | undefined
}

async function tar(entries: readonly Entry[]): Promise<Buffer> {
  const archive = pack()
  const whole = buffer(archive)
  for (const { name, content, link, isFolder, mode } of entries) {
    const type = link !== undefined ? 'symlink' : isFolder === true ? 'directory' : 'file'
    archive.entry(
      { name, type, mode: mode ?? 0o755, mtime: new Date(0), ...(link === undefined ? {} : { linkname: link }) },
      content ?? Buffer.alloc(0),
    )
  }
  archive.finalize()
  return whole
}

const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex')

const hello = `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
echo "$(hostname) from=$REMOTE_ADDR"
`

/**
 * Writes a docker archive with the machine's static busybox as its only program: a shell, an HTTP server, nslookup, and so on.
 * `/www/cgi-bin/hello` answers the host name and the client's address.
 *
 * @param names full references that the image gets.
 */
export async function writeBusyboxImage(file: string, names: readonly string[]): Promise<void> {
  const applets = spawnSync('/bin/busybox', ['--list'], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((name) => name !== '' && name !== 'busybox')
  const layer = await tar([
    ...['bin/', 'etc/', 'tmp/', 'www/', 'www/cgi-bin/', 'var/', 'home/'].map((name) => ({
      name,
      isFolder: true,
      mode: name === 'tmp/' ? 0o1777 : 0o755,
    })),
    { name: 'bin/busybox', content: readFileSync('/bin/busybox') },
    ...applets.map((name) => ({ name: `bin/${name}`, link: 'busybox' })),
    { name: 'etc/passwd', content: Buffer.from('root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n'), mode: 0o644 },
    { name: 'etc/group', content: Buffer.from('root:x:0:\nnobody:x:65534:\n'), mode: 0o644 },
    { name: 'www/cgi-bin/hello', content: Buffer.from(hello) },
  ])
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin'], Cmd: ['sh'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    }),
  )
  const manifest = [{ Config: `${sha256(config)}.json`, RepoTags: names, Layers: [`${sha256(layer)}.tar`] }]
  const image = await tar([
    { name: `${sha256(config)}.json`, content: config, mode: 0o644 },
    { name: `${sha256(layer)}.tar`, content: layer, mode: 0o644 },
    { name: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)), mode: 0o644 },
  ])
  await writeFile(file, image)
}
