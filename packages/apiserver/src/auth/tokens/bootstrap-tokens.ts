import { timingSafeEqual } from 'node:crypto'
import { StatusError } from '@k3s/api'
import { type Secret, secrets } from '@k3s/api/types/core/v1'
import type { Clock } from '@k3s/lifecycle'
import type { ObjectReader } from '../../registry/strategy.ts'
import type { TokenAuthenticator } from './token-authenticator.ts'

const tokenPattern = /^([a-z0-9]{6})\.([a-z0-9]{16})$/
const groupPattern = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/

const valueOf = (secret: Secret, key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString()

function isSame(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Tokens `ID.SECRET` of the Secrets `bootstrap-token-ID` in kube-system: their bearers may ask for certificates. */
export function bootstrapTokenAuthenticator(objects: ObjectReader, clock: Pick<Clock, 'now'>): TokenAuthenticator {
  return {
    name: 'BootstrapToken',
    async authenticateToken(token) {
      const match = tokenPattern.exec(token)
      if (match === null) return undefined
      const [, id = '', key = ''] = match
      const secret = objects.get(secrets, 'kube-system', `bootstrap-token-${id}`)
      if (secret === undefined || secret.metadata.deletionTimestamp !== undefined || secret.type !== 'bootstrap.kubernetes.io/token')
        return undefined
      const expiration = valueOf(secret, 'expiration')
      const isExpired = expiration !== '' && !(Date.parse(expiration) > clock.now())
      if (!isSame(valueOf(secret, 'token-secret'), key) || valueOf(secret, 'token-id') !== id || isExpired) {
        throw new StatusError('Unauthorized', 'Unauthorized')
      }
      if (valueOf(secret, 'usage-bootstrap-authentication') !== 'true') return undefined
      const groups = valueOf(secret, 'auth-extra-groups')
        .split(',')
        .filter((group) => group !== '')
      if (!groups.every((group) => groupPattern.test(group))) throw new StatusError('Unauthorized', 'Unauthorized')
      return { user: { name: `system:bootstrap:${id}`, groups: ['system:bootstrappers', ...groups] } }
    },
  }
}
