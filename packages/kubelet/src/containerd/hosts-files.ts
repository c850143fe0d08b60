import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeWhole } from './process.ts'
import { generatedMark } from './registries.ts'

/** Writes the given files and removes those that we wrote before; what a user put there by hand stays. */
export async function writeHostsFiles(directory: string, files: ReadonlyMap<string, string>): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  for (const name of await readdir(directory)) {
    if (files.has(name)) continue
    const path = join(directory, name, 'hosts.toml')
    const text = await readFile(path, 'utf8').catch(() => '')
    if (text.startsWith(generatedMark)) await rm(join(directory, name), { recursive: true })
  }
  for (const [name, text] of files) {
    const path = join(directory, name, 'hosts.toml')
    const before = await readFile(path, 'utf8').catch(() => undefined)
    if (before !== undefined && !before.startsWith(generatedMark)) continue
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await writeWhole(path, text)
  }
}
