import type { Secret } from '@k3s/api/types/core/v1'
import type { AuthConfig, CriInput } from '@k3s/cri-client'
import { parseImageName } from './image-name.ts'

interface DockerEntry {
  readonly username?: unknown
  readonly password?: unknown
  readonly auth?: unknown
  readonly identitytoken?: unknown
  readonly registrytoken?: unknown
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

/** What the pull secrets say of an image's registry: the entry with the longest path first. Secrets of other types and malformed ones count as empty. */
export function credentialsFor(image: string, secrets: readonly Secret[]): readonly CriInput<AuthConfig>[] {
  const name = parseImageName(image)
  if (name === undefined) return []
  const target = `${name.registry}/${name.repository}`
  const found: { readonly match: string; readonly auth: CriInput<AuthConfig> }[] = []
  for (const secret of secrets)
    for (const [key, value] of entries(secret)) {
      const match = key
        .replace(/^https?:\/\//, '')
        .replace(/\/(?:v[12]\/?)?$/, '')
        .replace(/^index\.docker\.io$/, 'docker.io')
      if (matches(match, target)) found.push({ match, auth: authOf(value, match) })
    }
  return found.toSorted((a, b) => b.match.length - a.match.length).map(({ auth }) => auth)
}

function entries(secret: Secret): readonly (readonly [string, DockerEntry])[] {
  const raw = secret.data?.['.dockerconfigjson'] ?? secret.data?.['.dockercfg']
  if (raw === undefined) return []
  try {
    const parsed: unknown = JSON.parse(Buffer.from(raw, 'base64').toString('utf8'))
    const auths = isRecord(parsed) && isRecord(parsed['auths']) ? parsed['auths'] : parsed
    return isRecord(auths) ? Object.entries(auths).filter((entry): entry is [string, DockerEntry] => isRecord(entry[1])) : []
  } catch {
    return [] // upstream skips secrets that it cannot read, and the pull tells what is missing
  }
}

function matches(pattern: string, target: string): boolean {
  const [host = '', ...path] = pattern.split('/')
  const [targetHost = '', ...targetPath] = target.split('/')
  const labels = host.split('.')
  const targetLabels = targetHost.split('.')
  if (labels.length !== targetLabels.length) return false
  const sameHost = labels.every((part, index) => globMatches(part, targetLabels[index] ?? ''))
  return sameHost && path.every((part, index) => targetPath[index] === part)
}

function globMatches(glob: string, part: string): boolean {
  const source = glob
    .split('*')
    .map((piece) => piece.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`))
    .join('[^.]*')
  return new RegExp(`^${source}$`).test(part)
}

function authOf(entry: DockerEntry, serverAddress: string): CriInput<AuthConfig> {
  let username = text(entry.username)
  let password = text(entry.password)
  if (username === '' && text(entry.auth) !== '') {
    const decoded = Buffer.from(text(entry.auth), 'base64').toString('utf8')
    const colon = decoded.indexOf(':')
    username = decoded.slice(0, Math.max(colon, 0))
    password = decoded.slice(colon + 1)
  }
  return { username, password, serverAddress, identityToken: text(entry.identitytoken), registryToken: text(entry.registrytoken) }
}
