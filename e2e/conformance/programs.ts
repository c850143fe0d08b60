import { existsSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder, go, hasGo, kubernetesRelease, prepareKubernetesModule, versionFlags } from '../src/kubernetes-module.ts'

/** What a run needs of the original. */
export interface Programs {
  /** Kubernetes' tests. */
  readonly suite: string
  /** Runs them, several at once. */
  readonly runner: string
  /** Some tests are about it. */
  readonly kubectl: string
}

/** There is neither a built suite nor a Go to build it with. */
export class NoSuiteError extends Error {
  override readonly name = 'NoSuiteError'
}

/** Finds the programs in `folder`, else builds them from their Go modules into the user's cache, once: some ten minutes. Throws NoSuiteError when it cannot. */
export async function findPrograms(folder?: string): Promise<Programs> {
  const cache = cacheFolder('k3s-conformance')
  const bin = folder ?? join(cache, kubernetesRelease)
  const programs: Programs = { suite: join(bin, 'e2e.test'), runner: join(bin, 'ginkgo'), kubectl: join(bin, 'kubectl') }
  const missing = Object.values(programs).filter((file) => !existsSync(file))
  if (missing.length === 0) return programs
  if (folder !== undefined) throw new NoSuiteError(`there is no ${missing.join(', ')}`)
  if (!hasGo()) throw new NoSuiteError(`there is no Go to build ${missing.join(', ')} with; install Go 1.26 or newer`)
  const source = join(cache, `${kubernetesRelease}-source`)
  await prepareKubernetesModule(source)
  for (const file of missing) {
    console.log(`Building ${file}`)
    const common = ['-p', '2', '-trimpath', '-ldflags', versionFlags, '-o', `${file}.part`]
    if (file === programs.suite) await go(source, 'test', '-c', ...common, 'k8s.io/kubernetes/test/e2e')
    else if (file === programs.runner) await go(source, 'build', ...common, 'github.com/onsi/ginkgo/v2/ginkgo')
    else await go(source, 'build', ...common, 'k8s.io/kubernetes/cmd/kubectl')
    // Named last, so that what is there is whole.
    await rename(`${file}.part`, file)
  }
  return programs
}
