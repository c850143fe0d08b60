const short: readonly (readonly [mode: string, short: string])[] = [
  ['ReadWriteOnce', 'RWO'],
  ['ReadOnlyMany', 'ROX'],
  ['ReadWriteMany', 'RWX'],
  ['ReadWriteOncePod', 'RWOP'],
]

/** Access modes as tables show them: `RWO,ROX`. */
export function shortAccessModes(modes: readonly string[] | undefined): string {
  return short
    .filter(([mode]) => modes?.includes(mode) === true)
    .map(([, text]) => text)
    .join(',')
}
