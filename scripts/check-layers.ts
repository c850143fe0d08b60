/** Compares what each package declares with the table of layers: a dependency must be in a lower layer. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The layer of every workspace package; docs/ARCHITECTURE.md says what lives in each. */
const layers: Readonly<Record<string, number>> = {
  '@k3s/api': 1,
  '@k3s/lifecycle': 1,
  '@k3s/cel': 2,
  '@k3s/datastore': 2,
  '@k3s/client': 2,
  '@k3s/cri-client': 2,
  '@k3s/tunnel': 2,
  '@k3s/pki': 2,
  '@k3s/hosts': 2,
  '@k3s/apiserver': 3,
  '@k3s/scheduler': 3,
  '@k3s/controllers': 3,
  '@k3s/kubelet': 3,
  '@k3s/networking': 3,
  '@k3s/dns': 3,
  '@k3s/node-registration': 3,
  '@k3s/k3s': 5,
  '@k3s/e2e': 6,
}

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const root = join(import.meta.dirname, '..')
const folders = [...readdirSync(join(root, 'packages')).map((name) => `packages/${name}`), 'apps/k3s', 'e2e']
const problems: string[] = []
for (const folder of folders) {
  const file = join(root, folder, 'package.json')
  if (!existsSync(file)) continue
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest // our own manifests
  const layer = layers[manifest.name]
  if (layer === undefined) {
    problems.push(`${manifest.name} has no layer in scripts/check-layers.ts`)
    continue
  }
  for (const dependency of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    const below = layers[dependency]
    if (below !== undefined && below >= layer) problems.push(`${manifest.name} (layer ${layer}) depends on ${dependency} (layer ${below})`)
  }
  if (folder.startsWith('packages/') && !existsSync(join(root, folder, 'README.md'))) problems.push(`${manifest.name} has no README.md`)
}
for (const problem of problems) console.error(problem)
process.exitCode = problems.length === 0 ? 0 : 1
