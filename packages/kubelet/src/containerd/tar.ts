/** A file or link of an archive. */
export interface TarEntry {
  readonly name: string
  readonly content: Buffer | { readonly linkTo: string }
  /** Default 0o644. */
  readonly mode?: number | undefined
}

const blockBytes = 512

/** A ustar archive in memory, the same for the same entries: times are 0 and root owns all. Names are at most 100 bytes. */
export function writeTar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = []
  for (const entry of entries) {
    const content = Buffer.isBuffer(entry.content) ? entry.content : Buffer.alloc(0)
    parts.push(header(entry, content.length), content, Buffer.alloc(padding(content.length)))
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * blockBytes)])
}

/** Bytes from the end of a file's content to the next block. */
export const padding = (size: number): number => (blockBytes - (size % blockBytes)) % blockBytes

function header({ name, content, mode = 0o644 }: TarEntry, size: number): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`Name "${name}" is too long for an archive`)
  const block = Buffer.alloc(blockBytes)
  const octal = (value: number, at: number, length: number): void => {
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at)
  }
  block.write(name, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8) // owner
  octal(0, 116, 8) // group
  octal(size, 124, 12)
  octal(0, 136, 12) // time
  block.write(Buffer.isBuffer(content) ? '0' : '2', 156)
  if (!Buffer.isBuffer(content)) block.write(content.linkTo, 157)
  block.write('ustar\x0000', 257)
  block.write('        ', 148) // the checksum counts itself as spaces
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/**
 * Reads the small files of a ustar or pax archive as it passes by in pieces of any size: those that `isWanted`, up to
 * 4 MiB each. Names longer than 100 bytes are not wanted ones.
 */
export class TarScanner {
  readonly files: Map<string, Buffer> = new Map()
  readonly #isWanted: (name: string) => boolean
  #head: Buffer = Buffer.alloc(0)
  /** Content that is still to come, padding included. */
  #skip = 0
  #current: { readonly name: string; readonly size: number; readonly parts: Buffer[] } | undefined

  constructor(isWanted: (name: string) => boolean) {
    this.#isWanted = isWanted
  }

  push(chunk: Buffer): void {
    let bytes = chunk
    while (bytes.length > 0) {
      if (this.#skip > 0) {
        const part = bytes.subarray(0, this.#skip)
        this.#current?.parts.push(part)
        this.#skip -= part.length
        bytes = bytes.subarray(part.length)
        if (this.#skip === 0) this.#finish()
        continue
      }
      const missing = blockBytes - this.#head.length
      this.#head = Buffer.concat([this.#head, bytes.subarray(0, missing)])
      bytes = bytes.subarray(missing)
      if (this.#head.length === blockBytes) this.#begin()
    }
  }

  #begin(): void {
    const head = this.#head
    this.#head = Buffer.alloc(0)
    const name = text(head, 0, 100).replace(/^\.\//, '')
    const size = sizeOf(head)
    this.#skip = size + padding(size)
    const isFile = head[156] === 0x30 || head[156] === 0
    if (name !== '' && isFile && size <= maxFileBytes && this.#isWanted(name)) this.#current = { name, size, parts: [] }
    if (this.#skip === 0) this.#finish()
  }

  #finish(): void {
    const current = this.#current
    this.#current = undefined
    if (current !== undefined) this.files.set(current.name, Buffer.concat(current.parts).subarray(0, current.size))
  }
}

const maxFileBytes = 4 * 1024 * 1024

function text(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at)
  return block.toString('utf8', at, end < 0 || end > at + length ? at + length : end)
}

/** Octal, or for 8 GiB and more a binary number behind a byte of 0x80. */
function sizeOf(block: Buffer): number {
  if (block[124] === 0x80) return Number(block.readBigUInt64BE(128))
  return Number.parseInt(text(block, 124, 12).trim() || '0', 8)
}
