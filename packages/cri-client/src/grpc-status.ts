import type { CriErrorCode } from './errors.ts'

const codes: readonly (CriErrorCode | 'OK')[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

/** The name of a `grpc-status`; `UNKNOWN` for what is none. */
export const statusName = (status: string): CriErrorCode | 'OK' => codes[Number(status)] ?? 'UNKNOWN'

/** The number of a code as `grpc-status` has it. */
export const statusNumber = (code: CriErrorCode | 'OK'): number => codes.indexOf(code)

/** Undoes the percent encoding of `grpc-message`; what is not well-formed is left as it is. */
export function decodeStatusMessage(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // an error message is never worth an error
  }
}

/** Percent encoding of `grpc-message`: of all but printable ASCII, and of the percent sign. */
export const encodeStatusMessage = (text: string): string => text.toWellFormed().replaceAll(/[^\x20-\x24\x26-\x7e]+/g, encodeURIComponent)
