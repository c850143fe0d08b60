import { chmodSync, lstatSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { renderKubeconfig } from '@k3s/client'
import type { KeyPair } from '@k3s/pki'
import { writeAtomically } from '../files.ts'

const defaultFile = '/etc/rancher/k3s/k3s.yaml'

/** Writes the admin's kubeconfig; with another file than the default, the default becomes a link to it, as in K3s. */
export function writeAdminKubeconfig(options: {
  readonly file: string | undefined
  readonly mode: number
  readonly server: string
  readonly ca: string
  readonly admin: KeyPair
}): string {
  const file = options.file ?? defaultFile
  const text = renderKubeconfig({ server: options.server, ca: options.ca, cert: options.admin.cert, key: options.admin.key })
  mkdirSync(dirname(file), { recursive: true })
  writeAtomically(file, text, options.mode)
  chmodSync(file, options.mode)
  if (file !== defaultFile && !isFile(defaultFile)) {
    mkdirSync(dirname(defaultFile), { recursive: true })
    rmSync(defaultFile, { force: true })
    symlinkSync(file, defaultFile)
  }
  return file
}

/** True for a plain file: somebody's own, or another server's, which a link must not replace. */
function isFile(path: string): boolean {
  try {
    return lstatSync(path).isFile()
  } catch {
    return false // nothing there
  }
}

/** Kubeconfigs of the components, for people who want to run one by hand: `cred/<name>.kubeconfig`. */
export function writeComponentKubeconfigs(credDir: string, server: string, ca: string, pairs: Readonly<Record<string, KeyPair>>): void {
  for (const [name, { cert, key }] of Object.entries(pairs))
    writeAtomically(join(credDir, `${name}.kubeconfig`), renderKubeconfig({ server, ca, cert, key }))
}
