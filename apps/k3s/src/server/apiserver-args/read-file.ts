import type { Logger } from '@k3s/lifecycle'
import { UsageError } from '../../errors.ts'
import { readIfThere } from '../../files.ts'
import type { ArgumentName } from './table.ts'

/** The text of a file that an argument names. Throws a {@link UsageError} when it is not there. */
export function readArgumentFile(name: ArgumentName, file: string): string {
  const text = readIfThere(file)
  if (text === undefined) throw new UsageError(`Cannot read "${file}" for --kube-apiserver-arg=${name}: the file does not exist`)
  return text
}

/** Does what reads `file`; what it throws becomes a {@link UsageError} that names the file. */
export async function usingFile<T>(name: ArgumentName, file: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`Cannot use "${file}" for --kube-apiserver-arg=${name}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

// Upstream looks once a minute when it is not told of changes.
const reloadIntervalMs = 5000

/** Gives the text of a file to `use` whenever it changes. A failure of `use` is logged, once for each text, and changes nothing. */
export function followFile(
  name: ArgumentName,
  file: string,
  {
    use,
    logger,
    stack,
  }: { readonly use: (text: string) => void | Promise<void>; readonly logger: Logger; readonly stack: AsyncDisposableStack },
): void {
  let known = readArgumentFile(name, file)
  const look = async (): Promise<void> => {
    try {
      const text = readArgumentFile(name, file)
      if (text === known) return
      known = text
      await use(text)
      logger.info({ file, argument: name }, 'Configuration is read anew')
    } catch (error) {
      logger.error({ file, argument: name, err: error }, 'Configuration cannot be read anew; the old one stays')
    }
  }
  // It never rejects.
  const timer = setInterval(() => void look(), reloadIntervalMs).unref()
  stack.defer(() => clearInterval(timer))
}
