import { createHash } from 'node:crypto'
import { pauseProgram, type PauseArchitecture } from './pause-program.ts'
import { writeTar } from './tar.ts'

// The names that images have for Node's.
const goArchitecture: Readonly<Record<PauseArchitecture, string>> = { x64: 'amd64', arm64: 'arm64' }

/** A docker archive (about 6 KB) of an image that holds nothing but the pause program, under the given reference. */
export function pauseImageArchive(reference: string, architecture: PauseArchitecture): Buffer {
  const layer = writeTar([{ name: 'pause', content: pauseProgram(architecture), mode: 0o755 }])
  const config = Buffer.from(
    JSON.stringify({
      architecture: goArchitecture[architecture],
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: { Entrypoint: ['/pause'], User: '65535:65535' },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'k3s' }],
    }),
  )
  const configName = `${sha256(config)}.json`
  const layerName = `${sha256(layer)}.tar`
  const manifest = [{ Config: configName, RepoTags: [reference], Layers: [layerName] }]
  return writeTar([
    { name: configName, content: config },
    { name: layerName, content: layer },
    { name: 'manifest.json', content: Buffer.from(JSON.stringify(manifest)) },
  ])
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
