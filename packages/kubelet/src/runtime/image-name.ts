/** An image reference in its full spelling. */
export interface ImageName {
  readonly registry: string
  readonly repository: string
  /** Empty when only a digest is given. */
  readonly tag: string
  readonly digest: string
}

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const domain =
  '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\\[[a-fA-F0-9:]+\\]'
const pattern = new RegExp(
  `^(?:((?:${domain})(?::[0-9]+)?)/)?(${component}(?:/${component})*)(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`,
)

/** Reads `nginx`, `ghcr.io/a/b:1` or `b@sha256:…` as Docker does; `undefined` for what is no reference. */
export function parseImageName(image: string): ImageName | undefined {
  const match = pattern.exec(image)
  if (match === null) return undefined
  const [, host = '', path = '', tag = '', digest = ''] = match
  const isHost = host.includes('.') || host.includes(':') || host === 'localhost' || host.startsWith('[')
  const registry = host === '' || !isHost ? 'docker.io' : host
  const full = host !== '' && !isHost ? `${host}/${path}` : path
  const repository = registry === 'docker.io' && !full.includes('/') ? `library/${full}` : full
  return { registry, repository, tag: tag === '' && digest === '' ? 'latest' : tag, digest }
}

/** `docker.io/library/nginx:latest`. */
export function formatImageName({ registry, repository, tag, digest }: ImageName): string {
  return `${registry}/${repository}${tag === '' ? '' : `:${tag}`}${digest === '' ? '' : `@${digest}`}`
}
