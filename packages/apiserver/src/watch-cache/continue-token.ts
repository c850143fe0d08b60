import { badRequest, jsonSyntaxProblem } from '@k3s/api'

/** Where a chunked list goes on; the shape is upstream's and public. */
export interface ContinueToken {
  /** Snapshot that all chunks show; -1: go on in the newest state, inconsistently. */
  readonly revision: number
  /** First key of the next chunk, relative to the list's prefix. */
  readonly start: string
}

export function encodeContinue({ revision, start }: ContinueToken): string {
  return Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start })).toString('base64url')
}

/** Throws BadRequest for anything that {@link encodeContinue} did not make. */
export function decodeContinue(text: string): ContinueToken {
  const bad = (why: string): Error => badRequest(`invalid continue token: continue key is not valid${why}`)
  const bytes = Buffer.from(text, 'base64url')
  let token: unknown
  try {
    token = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw bad(`: ${jsonSyntaxProblem(bytes) ?? (error instanceof Error ? error.message : String(error))}`)
  }
  if (typeof token !== 'object' || token === null) throw bad('')
  const { v, rv, start } = token as Readonly<Record<string, unknown>> // each is checked
  if (v !== 'meta.k8s.io/v1') throw bad(`: server does not recognize this encoded version ${typeof v === 'string' ? v : ''}`)
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv === 0 || rv < -1)
    throw bad(': incorrect encoded start resourceVersion (version meta.k8s.io/v1)')
  if (typeof start !== 'string' || start === '') throw bad(': encoded start key empty (version meta.k8s.io/v1)')
  if (start.startsWith('/') || start.split('/').some((part) => part === '..' || part === '.' || part === '')) throw bad(`: ${start}`)
  return { revision: rv, start }
}
