import { type Pod, pods, type ServiceAccount, serviceaccounts, type Volume } from '@k3s/api/types/core/v1'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { objectOf, refusal } from './requests.ts'

const mountPath = '/var/run/secrets/kubernetes.io/serviceaccount'
const volumePrefix = 'kube-api-access-'
const mirrorAnnotation = 'kubernetes.io/config.mirror'
const enforceAnnotation = 'kubernetes.io/enforce-mountable-secrets'
/** Upstream's odd lifetime: it marks tokens that may be extended. */
const tokenSeconds = 3607
const suffixLetters = 'bcdfghjklmnpqrstvwxz2456789'

/** Whether the pod gets a token: the pod's word first, then its account's. */
function wantsToken(pod: Pod, account: ServiceAccount): boolean {
  return pod.spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true
}

function tokenVolume(name: string): Volume {
  return {
    name,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: tokenSeconds } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
      ],
    },
  }
}

function mountToken(pod: Pod, random: () => number): void {
  const known = (pod.spec.volumes ?? []).find(({ name, projected }) => name.startsWith(volumePrefix) && projected !== undefined)?.name
  const suffix = Array.from({ length: 5 }, () => suffixLetters[Math.floor(random() * suffixLetters.length)]).join('')
  const name = known ?? `${volumePrefix}${suffix}`
  let isNeeded = false
  for (const container of [...(pod.spec.initContainers ?? []), ...(pod.spec.containers ?? [])]) {
    if (container.volumeMounts?.some((mount) => mount.mountPath === mountPath) === true) continue
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath }]
    isNeeded = true
  }
  if (isNeeded && known === undefined) pod.spec.volumes = [...(pod.spec.volumes ?? []), tokenVolume(name)]
}

/** Secrets that a pod uses, with the words that say where. */
function secretUses(pod: Pod): { readonly name: string; readonly where: string }[] {
  const uses = (pod.spec.volumes ?? []).flatMap(({ secret }) =>
    secret?.secretName ? [{ name: secret.secretName, where: 'volume with' }] : [],
  )
  for (const [what, containers] of [
    ['init container', pod.spec.initContainers],
    ['container', pod.spec.containers],
  ] as const) {
    for (const container of containers ?? []) {
      for (const variable of container.env ?? []) {
        const name = variable.valueFrom?.secretKeyRef?.name
        if (name) uses.push({ name, where: `${what} ${container.name} with envVar ${variable.name} referencing` })
      }
      for (const { secretRef } of container.envFrom ?? [])
        if (secretRef?.name) uses.push({ name: secretRef.name, where: `${what} ${container.name} with envFrom referencing` })
    }
  }
  return uses
}

function checkSecrets(request: AdmissionRequest, pod: Pod, account: ServiceAccount): void {
  const { name: accountName } = account.metadata
  const allowed = new Set((account.secrets ?? []).map(({ name }) => name))
  for (const { name, where } of secretUses(pod)) {
    if (!allowed.has(name))
      throw refusal(
        request,
        `${where} secret.secretName="${name}" is not allowed because service account ${accountName} does not reference that secret`,
      )
  }
  const pulls = new Set((account.imagePullSecrets ?? []).map(({ name }) => name))
  for (const [index, { name }] of (pod.spec.imagePullSecrets ?? []).entries()) {
    if (!pulls.has(name))
      throw refusal(
        request,
        `imagePullSecrets[${index}].name="${name}" is not allowed because service account ${accountName} does not reference that imagePullSecret`,
      )
  }
}

function checkMirror(request: AdmissionRequest, pod: Pod): void {
  if (pod.spec.serviceAccountName) throw refusal(request, 'a mirror pod may not reference service accounts')
  if (secretUses(pod).length > 0) throw refusal(request, 'a mirror pod may not reference secrets')
  const usesToken = pod.spec.volumes?.some(({ projected }) =>
    projected?.sources?.some(({ serviceAccountToken }) => serviceAccountToken !== undefined),
  )
  if (usesToken === true) throw refusal(request, 'a mirror pod may not use ServiceAccountToken volume projections')
}

/** Gives pods the account `default`, its pull secrets and its token. `random` (0 to 1) names the volume. */
export function serviceAccountPlugin(random: () => number): AdmissionPlugin {
  const accountOf = (request: AdmissionRequest, pod: Pod): ServiceAccount => {
    const name = pod.spec.serviceAccountName ?? ''
    const account = request.scope.objects.get(serviceaccounts, request.namespace, name)
    if (account === undefined)
      throw refusal(request, `error looking up service account ${request.namespace}/${name}: serviceaccount "${name}" not found`)
    return account
  }
  return {
    name: 'ServiceAccount',
    admit(request): void {
      const pod = objectOf(request, pods, ['CREATE'])
      if (pod === undefined || pod.metadata.annotations?.[mirrorAnnotation] !== undefined) return
      pod.spec.serviceAccountName ||= 'default'
      pod.spec.serviceAccount = pod.spec.serviceAccountName
      const account = accountOf(request, pod)
      if (wantsToken(pod, account)) mountToken(pod, random)
      if ((pod.spec.imagePullSecrets ?? []).length === 0 && (account.imagePullSecrets ?? []).length > 0) {
        pod.spec.imagePullSecrets = (account.imagePullSecrets ?? []).map(({ name }) => ({ name }))
      }
    },
    validate(request): void {
      const pod = objectOf(request, pods, ['CREATE'])
      if (pod === undefined) return
      if (pod.metadata.annotations?.[mirrorAnnotation] !== undefined) {
        checkMirror(request, pod)
        return
      }
      if (!pod.spec.serviceAccountName)
        throw refusal(request, `no service account specified for pod ${request.namespace}/${pod.metadata.name}`)
      const account = accountOf(request, pod)
      if (account.metadata.annotations?.[enforceAnnotation] === 'true') checkSecrets(request, pod, account)
    },
  }
}
