/**
 * Values of a stream of JSON texts that each end with a newline. A text is decoded once, when it is complete; what follows the last newline is
 * parsed too, unless it is blank. Throws a SyntaxError for what is not JSON and a RangeError for a text of more than `maxBytes`.
 */
export async function* readJsonLines(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<unknown, void, void> {
  /** Pieces of a text whose end has not come yet. */
  let pieces: Uint8Array[] = []
  let pendingBytes = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      if (pendingBytes + end - start > maxBytes) throw tooLong(maxBytes)
      const text = decode(pieces, chunk.subarray(start, end))
      pieces = []
      pendingBytes = 0
      start = end + 1
      if (text.trim() !== '') yield JSON.parse(text)
    }
    if (start === chunk.length) continue
    pieces.push(chunk.subarray(start))
    pendingBytes += chunk.length - start
    if (pendingBytes > maxBytes) throw tooLong(maxBytes)
  }
  const rest = decode(pieces, new Uint8Array())
  if (rest.trim() !== '') yield JSON.parse(rest)
}

const tooLong = (maxBytes: number): RangeError => new RangeError(`JSON text of more than ${maxBytes} bytes`)

function decode(pieces: readonly Uint8Array[], last: Uint8Array): string {
  const bytes = pieces.length === 0 ? Buffer.from(last.buffer, last.byteOffset, last.byteLength) : Buffer.concat([...pieces, last])
  return bytes.toString('utf8')
}
