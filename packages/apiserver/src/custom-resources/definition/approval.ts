import type { CustomResourceDefinition } from '@k3s/api/types/apiextensions/v1'

/** Says who approved an API in one of Kubernetes' own groups. */
export const approvalAnnotation = 'api-approved.kubernetes.io'

export interface ApprovalState {
  readonly kind: 'missing' | 'bypassed' | 'approved' | 'invalid'
  readonly reason: string
}

/** Whether an API in a group of Kubernetes' own was approved; undefined for other groups, which need no approval. */
export function approvalState({ metadata, spec }: Pick<CustomResourceDefinition, 'metadata' | 'spec'>): ApprovalState | undefined {
  const { group } = spec
  const isProtected = ['k8s.io', 'kubernetes.io'].some((domain) => group === domain || group.endsWith(`.${domain}`))
  if (!isProtected) return undefined
  const annotation = metadata.annotations?.[approvalAnnotation] ?? ''
  const see = 'see https://github.com/kubernetes/enhancements/pull/1111'
  if (annotation === '')
    return { kind: 'missing', reason: `protected groups must have approval annotation "${approvalAnnotation}", ${see}` }
  if (annotation.startsWith('unapproved')) return { kind: 'bypassed', reason: `not approved: ${JSON.stringify(annotation)}` }
  if (/^[a-zA-Z][a-zA-Z0-9+.-]*:\/\/[^/]/.test(annotation) && URL.canParse(annotation))
    return { kind: 'approved', reason: `approved in ${annotation}` }
  return {
    kind: 'invalid',
    reason: `protected groups must have approval annotation "${approvalAnnotation}" with either a URL or a reason starting with "unapproved", ${see}`,
  }
}
