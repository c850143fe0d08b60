import { findPrograms } from '../src/programs.ts'

/** What a run needs of the original. */
export interface Programs {
  /** Kubernetes' tests. */
  readonly suite: string
  /** Runs them, several at once. */
  readonly runner: string
  /** Some tests are about it. */
  readonly kubectl: string
}

/** Finds the programs in `folder`, else builds them; throws NoProgramError when it cannot. */
export async function findSuite(folder?: string): Promise<Programs> {
  const { 'e2e.test': suite, ginkgo: runner, kubectl } = await findPrograms(['e2e.test', 'ginkgo', 'kubectl'], folder)
  return { suite, runner, kubectl }
}
