import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { generateKey, type KeyPair } from '@k3s/pki'

/** The text of a file; undefined when there is none. */
export async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined // readFile throws nothing else
    throw error
  }
}

/** Writes whole or not at all, and makes the folder. */
export async function writeWhole(file: string, content: string, mode = 0o600): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await writeFile(`${file}.tmp`, content, { mode })
  await chmod(`${file}.tmp`, mode)
  await rename(`${file}.tmp`, file)
}

/** The key `<folder>/<name>.key`, made at the first call and kept from then on. */
export async function ensureKey(folder: string, name: string): Promise<string> {
  const file = join(folder, `${name}.key`)
  const existing = await readIfThere(file)
  if (existing !== undefined && existing.includes('PRIVATE KEY')) return existing
  const key = await generateKey()
  await writeWhole(file, key)
  return key
}

export async function readPair(folder: string, name: string): Promise<KeyPair | undefined> {
  const [cert, key] = await Promise.all([readIfThere(join(folder, `${name}.crt`)), readIfThere(join(folder, `${name}.key`))])
  return cert === undefined || key === undefined ? undefined : { cert, key }
}

/** This machine's password: 16 random bytes, hex, made once; mode 0600. */
export async function ensureNodePasswordFile(file: string): Promise<string> {
  const existing = (await readIfThere(file))?.trim()
  if (existing !== undefined && existing !== '') return existing
  const password = randomBytes(16).toString('hex')
  await writeWhole(file, `${password}\n`)
  return password
}
