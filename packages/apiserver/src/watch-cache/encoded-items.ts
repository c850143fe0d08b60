/**
 * The items of a list as they are sent, by served version: clients that start together ask for the same. Nothing is kept for this alone:
 * a form lives for as long as an answer with it is on its way, and until memory is collected.
 */
export class EncodedItems {
  readonly #forms = new Map<string, WeakRef<Buffer>>()

  get(apiVersion: string): Buffer | undefined {
    return this.#forms.get(apiVersion)?.deref()
  }

  set(apiVersion: string, bytes: Buffer): void {
    this.#forms.set(apiVersion, new WeakRef(bytes))
  }
}
