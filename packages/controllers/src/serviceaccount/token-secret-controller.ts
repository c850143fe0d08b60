import { hasReason, objectKey } from '@k3s/api'
import { secrets, serviceaccounts, type Secret, type ServiceAccount } from '@k3s/api/types/core/v1'
import type { Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../kit/context.ts'
import { controllerService, enqueueOn } from '../kit/controller.ts'

export interface TokenSecretOptions {
  /** The PEM that is put beside the token. */
  readonly rootCa: string
  /** Makes the token of a ServiceAccount that is valid while `secret` holds it, and does not expire. */
  readonly signToken: (account: ServiceAccount, secret: Secret) => Promise<string>
}

const accountName = 'kubernetes.io/service-account.name'
const accountUid = 'kubernetes.io/service-account.uid'
const secretType = 'kubernetes.io/service-account-token'
const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** What a token Secret lacks, or that it must go because its ServiceAccount has. */
export type TokenSecretPlan = 'keep' | 'delete' | 'fill'

export function planTokenSecret(secret: Secret, account: ServiceAccount | undefined, rootCa: string): TokenSecretPlan {
  if (secret.type !== secretType || secret.metadata.deletionTimestamp !== undefined) return 'keep'
  const annotations = secret.metadata.annotations ?? {}
  if ((annotations[accountName] ?? '') === '') return 'keep'
  const uid = annotations[accountUid] ?? ''
  if (account === undefined || (uid !== '' && uid !== account.metadata.uid)) return 'delete'
  const data = secret.data ?? {}
  const isFilled = data['ca.crt'] === base64(rootCa) && (data['namespace'] ?? '') !== '' && (data['token'] ?? '') !== ''
  return isFilled && uid !== '' ? 'keep' : 'fill'
}

/** Fills Secrets of type `kubernetes.io/service-account-token` with a token, and deletes them with their ServiceAccount. */
export function createTokenSecretController(context: ControllerContext, options: TokenSecretOptions): Service {
  const { client, informers } = context
  const { rootCa, signToken } = options
  const secretInformer = informers.informer(secrets, { fieldSelector: `type=${secretType}` })
  const accountInformer = informers.informer(serviceaccounts)
  const index = 'service account'
  secretInformer.addIndex(index, byAccount)
  const accountKey = (secret: Secret): string => `${secret.metadata.namespace ?? ''}/${secret.metadata.annotations?.[accountName] ?? ''}`

  return controllerService({
    name: 'serviceaccount-token',
    context,
    informers: [secretInformer, accountInformer],
    watch: (queue) => [
      enqueueOn(secretInformer, queue, (secret) => [objectKey(secret)]),
      enqueueOn(accountInformer, queue, (account) => secretInformer.lister.byIndex(index, objectKey(account)).map(objectKey)),
    ],
    async reconcile(key, signal) {
      const secret = secretInformer.lister.get(key)
      if (secret === undefined) return
      let account = accountInformer.lister.get(accountKey(secret))
      const plan = planTokenSecret(secret, account, rootCa)
      if (plan === 'keep') return
      const { name, namespace, uid } = secret.metadata
      try {
        if (account === undefined) {
          // The cache may be behind a ServiceAccount that was just created: deleting its Secret would lose data.
          const account = secret.metadata.annotations?.[accountName] ?? ''
          const live = await client.resource(serviceaccounts).list({ namespace, fieldSelector: `metadata.name=${account}`, signal })
          if (live.items.length > 0) throw new Error(`Cache is behind ServiceAccount "${account}"`)
        }
        if (plan === 'delete' || account === undefined) {
          await client.resource(secrets).delete(name, { namespace, preconditions: { uid }, signal })
          return
        }
        account = await client.resource(serviceaccounts).get(account.metadata.name, { namespace, signal })
        const token = secret.data?.['token'] || base64(await signToken(account, secret))
        const data = { ...secret.data, 'ca.crt': base64(rootCa), namespace: base64(namespace ?? ''), token }
        const annotations = { ...secret.metadata.annotations, [accountUid]: account.metadata.uid ?? '' }
        await client.resource(secrets).update({ ...secret, metadata: { ...secret.metadata, annotations }, data }, { signal })
      } catch (error) {
        if (!hasReason(error, 'NotFound', 'Conflict')) throw error
      }
    },
  })
}

const byAccount = ({ metadata }: Secret): readonly string[] => {
  const name = metadata.annotations?.[accountName]
  return name === undefined ? [] : [`${metadata.namespace ?? ''}/${name}`]
}
