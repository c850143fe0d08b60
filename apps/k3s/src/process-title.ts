/**
 * What the process list shows of a command: which it is, and nothing of its arguments, among which are tokens and passwords of datastores.
 * `argv` is as in `process.argv`.
 */
export function processTitle([node = 'node', script = '', command = '', subcommand = '']: readonly string[]): string {
  const words = [command, command === 'datastore' ? subcommand : ''].filter((word) => /^[a-z-]+$/.test(word) && !word.startsWith('-'))
  return [node, script, ...words].join(' ')
}
