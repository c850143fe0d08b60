import type { BindingData } from './policy-data.ts'

/** Upstream's default bindings; a controller's role is bound to the service account of its name and is not listed here. */
export const bindingData: readonly BindingData[] = [
  { name: 'cluster-admin', clusterRole: 'cluster-admin', subjects: ['group:system:masters'] },
  { name: 'system:basic-user', clusterRole: 'system:basic-user', subjects: ['group:system:authenticated'] },
  { name: 'system:discovery', clusterRole: 'system:discovery', subjects: ['group:system:authenticated'] },
  {
    name: 'system:kube-controller-manager',
    clusterRole: 'system:kube-controller-manager',
    subjects: ['user:system:kube-controller-manager'],
  },
  { name: 'system:kube-dns', clusterRole: 'system:kube-dns', subjects: ['sa:kube-system/kube-dns'] },
  { name: 'system:kube-scheduler', clusterRole: 'system:kube-scheduler', subjects: ['user:system:kube-scheduler'] },
  { name: 'system:monitoring', clusterRole: 'system:monitoring', subjects: ['group:system:monitoring'] },
  { name: 'system:node', clusterRole: 'system:node', subjects: [] },
  { name: 'system:node-proxier', clusterRole: 'system:node-proxier', subjects: ['user:system:kube-proxy'] },
  {
    name: 'system:public-info-viewer',
    clusterRole: 'system:public-info-viewer',
    subjects: ['group:system:authenticated', 'group:system:unauthenticated'],
  },
  {
    name: 'system:service-account-issuer-discovery',
    clusterRole: 'system:service-account-issuer-discovery',
    subjects: ['group:system:serviceaccounts'],
  },
  { name: 'system:volume-scheduler', clusterRole: 'system:volume-scheduler', subjects: ['user:system:kube-scheduler'] },
  {
    name: 'system:controller:bootstrap-signer',
    namespace: 'kube-public',
    role: 'system:controller:bootstrap-signer',
    subjects: ['sa:kube-system/bootstrap-signer'],
  },
  {
    name: 'system::extension-apiserver-authentication-reader',
    namespace: 'kube-system',
    role: 'extension-apiserver-authentication-reader',
    subjects: ['user:system:kube-controller-manager', 'user:system:kube-scheduler'],
  },
  {
    name: 'system::leader-locking-kube-controller-manager',
    namespace: 'kube-system',
    role: 'system::leader-locking-kube-controller-manager',
    subjects: [
      'user:system:kube-controller-manager',
      'sa:kube-system/kube-controller-manager',
      'sa:kube-system/leader-election-controller',
    ],
  },
  {
    name: 'system::leader-locking-kube-scheduler',
    namespace: 'kube-system',
    role: 'system::leader-locking-kube-scheduler',
    subjects: ['user:system:kube-scheduler', 'sa:kube-system/kube-scheduler'],
  },
  {
    name: 'system:controller:bootstrap-signer',
    namespace: 'kube-system',
    role: 'system:controller:bootstrap-signer',
    subjects: ['sa:kube-system/bootstrap-signer'],
  },
  {
    name: 'system:controller:cloud-provider',
    namespace: 'kube-system',
    role: 'system:controller:cloud-provider',
    subjects: ['sa:kube-system/cloud-provider'],
  },
  {
    name: 'system:controller:token-cleaner',
    namespace: 'kube-system',
    role: 'system:controller:token-cleaner',
    subjects: ['sa:kube-system/token-cleaner'],
  },
]
