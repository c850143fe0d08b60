// Upstream's: what an answer's headers hold of warnings, and of each of many, in characters.
const maxTotal = 4096
const maxEach = 256

/** The warnings of one answer. Follows kube-apiserver's: when they become too long together each is cut, and what still finds no place is left out. */
export class Warnings {
  readonly #messages = new Set<string>()
  #length = 0
  #isCut = false

  add(message: string): void {
    if (this.#messages.has(message) || this.#length >= maxTotal) return
    this.#messages.add(message)
    this.#length += this.#isCut ? Math.min(message.length, maxEach) : message.length
    if (this.#length <= maxTotal || this.#isCut) return
    this.#isCut = true
    this.#length = 0
    for (const known of this.#messages) this.#length += Math.min(known.length, maxEach)
  }

  get isEmpty(): boolean {
    return this.#messages.size === 0
  }

  /** Values of `Warning` headers. */
  get values(): readonly string[] {
    const values: string[] = []
    let length = 0
    for (const message of this.#messages) {
      const text = this.#isCut ? message.slice(0, maxEach) : message
      length += text.length
      if (length > maxTotal) break
      values.push(formatWarning(text))
    }
    return values
  }
}

/** RFC 7234: code, agent, quoted text. Control characters cannot be in a header. */
function formatWarning(message: string): string {
  const text = message.replace(/\p{Cc}+/gu, ' ').replace(/[\\"]/g, (character) => `\\${character}`)
  return `299 - "${Buffer.from(text, 'utf8').toString('latin1')}"`
}
