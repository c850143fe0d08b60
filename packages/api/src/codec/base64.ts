/** The position of the first byte that is not standard base64 with padding; −1 when all is well. Line breaks are to be removed first. */
export function base64Error(text: string): number {
  const bad = /[^A-Za-z0-9+/]/.exec(text)
  if (bad === null) return text.length % 4 === 0 ? -1 : text.length - (text.length % 4)
  const isPadding = text.length % 4 === 0 && bad.index >= text.length - 2 && text.endsWith('='.repeat(text.length - bad.index))
  return isPadding ? -1 : bad.index
}
