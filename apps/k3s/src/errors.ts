/** A mistake of the user: shown as one sentence with its remedy. Exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** Something that stops the program for a reason that one sentence tells. Exit code 1. */
export class FatalError extends Error {
  override readonly name = 'FatalError'
}
