import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { CriError, type CriClient } from '@k3s/cri-client'
import type { Clock, Logger } from '@k3s/lifecycle'
import { pauseImageArchive } from './pause-image.ts'
import { TarScanner } from './tar.ts'
import { writeWhole } from './process.ts'

/** The namespace that CRI's images live in. */
const namespace = 'k8s.io'
// What spares an image when space is needed (containerd 1.7 and newer look at it).
const pinnedLabel = 'io.cri-containerd.pinned=pinned'
const maxMessageBytes = 16 * 1024

export interface ImageImporterOptions {
  /** The `ctr` program: importing archives is the one thing that CRI cannot do. */
  readonly ctr: string
  /** containerd's socket, a path. */
  readonly socket: string
  readonly client: CriClient
  readonly logger: Logger
  readonly clock: Clock
}

export interface ImportDirectoryOptions {
  readonly directory: string
  /** A file of ours. */
  readonly recordPath: string
  /** Files that changed later than so many milliseconds ago are left for the next call: they may still be written. */
  readonly minAgeMs: number
  /** Abort ends what is being imported. */
  readonly signal: AbortSignal
}

/** What was imported from a file, so that an unchanged file is not read again. */
interface ImportRecord {
  readonly size: number
  readonly mtimeMs: number
  readonly images: readonly string[]
}

/** Brings images into containerd without a registry. One call at a time for each directory. */
export class ImageImporter {
  readonly #options: ImageImporterOptions

  constructor(options: ImageImporterOptions) {
    this.#options = options
  }

  /** Imports the built-in pause image under `reference` unless an image of that name is there. */
  async ensurePauseImage(reference: string, signal?: AbortSignal): Promise<void> {
    const { client, logger } = this.#options
    const { arch } = process
    if ((await client.imageStatus({ image: { image: reference } }, { signal })).image !== undefined) return
    if (arch !== 'x64' && arch !== 'arm64') return // it is pulled like any other
    const images = await this.importArchive(Readable.from([pauseImageArchive(reference, arch)]), signal)
    logger.debug({ images }, 'Imported the built-in pause image')
  }

  /**
   * Imports a docker or OCI archive (uncompressed) and pins its images. Gives their full names. Rejects when the archive
   * is broken or `ctr` fails; images before the fault may be there then. An abort of the signal ends `ctr`.
   */
  async importArchive(archive: Readable, signal?: AbortSignal): Promise<string[]> {
    const scanner = new TarScanner((name) => name === 'manifest.json' || name === 'index.json')
    const scan = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        scanner.push(chunk)
        done(null, chunk)
      },
    })
    await this.#ctr(['images', 'import', '-'], { input: archive, through: scan, signal })
    const images = imageNames(scanner.files)
    for (const image of images) await this.#ctr(['images', 'label', image, pinnedLabel], { signal })
    return images
  }

  /**
   * Imports every archive of a directory (`.tar`, `.tar.gz`, `.tgz`, `.tar.zst`, `.tzst`) that is new or changed since
   * `recordPath` was written, or whose images are gone, and pulls what its `.txt` files list. A file that fails is logged
   * and the others go on; so do those that K3s reads and we do not (`.tar.lz4`, `.tar.bz2`). A directory that is not there has no files.
   */
  async importDirectory({ directory, recordPath, minAgeMs, signal }: ImportDirectoryOptions): Promise<void> {
    const { logger, clock } = this.#options
    const before = await readRecords(recordPath)
    const after = new Map<string, ImportRecord>()
    const names = await readdir(directory).catch(() => []) // not there, or no directory: nothing to import
    for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) {
      signal.throwIfAborted()
      const path = join(directory, name)
      const kind = kindOf(name)
      const found = await stat(path).catch(() => undefined) // removed meanwhile
      if (kind === undefined || found === undefined || !found.isFile()) continue
      const known = before.get(name)
      const { size, mtimeMs } = found
      if (known?.size === size && known.mtimeMs === mtimeMs && (await this.#haveAll(known.images))) {
        after.set(name, known)
        continue
      }
      if (clock.now() - mtimeMs < minAgeMs) continue
      try {
        const images = kind === 'list' ? await this.#pullList(path, signal) : await this.importArchive(openArchive(path, kind), signal)
        after.set(name, { size, mtimeMs, images })
        logger.info({ file: path, images }, 'Imported images')
      } catch (error) {
        signal.throwIfAborted()
        logger.error({ file: path, err: error }, 'Cannot import images')
        if (kind !== 'list') after.set(name, { size, mtimeMs, images: [] }) // the same bytes would fail again; a registry may come back
      }
    }
    const text = JSON.stringify(Object.fromEntries(after))
    if (text !== JSON.stringify(Object.fromEntries(before))) await writeWhole(recordPath, text)
  }

  async #haveAll(images: readonly string[]): Promise<boolean> {
    for (const image of images) if ((await this.#options.client.imageStatus({ image: { image } })).image === undefined) return false
    return true
  }

  async #pullList(path: string, signal: AbortSignal): Promise<string[]> {
    const references = (await readFile(path, 'utf8'))
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'))
    const images: string[] = []
    for (const image of references) {
      await this.#options.client.pullImage({ image: { image } }, { signal })
      images.push(fullName(image))
    }
    for (const image of images) await this.#ctr(['images', 'label', image, pinnedLabel], { signal })
    return images
  }

  /** Runs `ctr`; rejects with what it said when it fails. */
  async #ctr(
    args: readonly string[],
    options: { readonly input?: Readable; readonly through?: Transform; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const { ctr, socket } = this.#options
    options.signal?.throwIfAborted()
    const child = spawn(ctr, ['--address', socket, '--namespace', namespace, ...args], {
      stdio: ['pipe', 'ignore', 'pipe'],
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    let message = ''
    child.stderr.on('data', (chunk: Buffer) => (message = `${message}${chunk.toString()}`.slice(-maxMessageBytes)))
    const exited = new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    const fed =
      options.input === undefined
        ? Promise.resolve(child.stdin.end())
        : pipeline([options.input, options.through ?? new Transform(), child.stdin])
    const [fedResult, exitResult] = await Promise.allSettled([fed, exited])
    options.signal?.throwIfAborted()
    if (exitResult.status === 'rejected') throw exitResult.reason
    const { value: code } = exitResult
    if (code !== 0) throw new CriError('UNKNOWN', `Cannot ${args.slice(0, 2).join(' ')}: ${message.trim() || `ctr ended with ${code}`}`)
    if (fedResult.status === 'rejected') throw fedResult.reason
  }
}

type ArchiveKind = 'tar' | 'gzip' | 'zstd' | 'other'

function kindOf(name: string): ArchiveKind | 'list' | undefined {
  if (name.endsWith('.tar')) return 'tar'
  if (/\.(tar\.gz|tgz)$/.test(name)) return 'gzip'
  if (/\.(tar\.zst|tzst)$/.test(name)) return 'zstd'
  if (/\.(tar\.lz4|tar\.bz2|tbz)$/.test(name)) return 'other'
  return name.endsWith('.txt') ? 'list' : undefined
}

function openArchive(path: string, kind: ArchiveKind): Readable {
  if (kind === 'other') throw new Error('Its compression is not supported: use .tar, .tar.gz or .tar.zst')
  const file = createReadStream(path, { highWaterMark: 1 << 20 })
  if (kind === 'tar') return file
  const decompressor = kind === 'gzip' ? createGunzip() : createZstdDecompress()
  file.on('error', (error) => decompressor.destroy(error))
  decompressor.on('close', () => file.destroy())
  return file.pipe(decompressor)
}

/** The names in a docker archive's manifest or an OCI layout's index, full. */
export function imageNames(files: ReadonlyMap<string, Buffer>): string[] {
  const names = new Set<string>()
  const manifest = parse(files.get('manifest.json'))
  if (Array.isArray(manifest))
    for (const { RepoTags: tags } of manifest as readonly { readonly RepoTags?: readonly string[] | null }[])
      // docker's format
      for (const tag of tags ?? []) names.add(fullName(tag))
  const index = parse(files.get('index.json')) as
    | { readonly manifests?: readonly { readonly annotations?: Readonly<Record<string, string>> }[] }
    | undefined // OCI's format
  for (const { annotations = {} } of index?.manifests ?? []) {
    const name = annotations['io.containerd.image.name']
    if (name !== undefined) names.add(fullName(name))
  }
  return [...names]
}

function parse(json: Buffer | undefined): unknown {
  return json === undefined ? undefined : JSON.parse(json.toString())
}

/** `busybox` is `docker.io/library/busybox:latest`. */
export function fullName(reference: string): string {
  const slash = reference.indexOf('/')
  const first = reference.slice(0, Math.max(slash, 0))
  const hasDomain = first.includes('.') || first.includes(':') || first === 'localhost'
  const named = hasDomain ? reference : `docker.io/${slash < 0 ? 'library/' : ''}${reference}`
  return /[:@][^/]*$/.test(named) ? named : `${named}:latest`
}

async function readRecords(path: string): Promise<Map<string, ImportRecord>> {
  try {
    return new Map(Object.entries(JSON.parse(await readFile(path, 'utf8')) as Record<string, ImportRecord>)) // our own file
  } catch {
    return new Map() // absent or broken: everything is imported again
  }
}
