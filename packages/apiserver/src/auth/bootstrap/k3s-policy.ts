import type { BindingData, RoleData } from './policy-data.ts'

/** What K3s adds to upstream's roles: the shared client of agents, and access of the API server to kubelets. */
export const k3sRoleData: readonly RoleData[] = [
  {
    name: 'system:k3s-controller',
    rules: [
      ['list watch', 'core', 'nodes'],
      ['list watch get', 'networking.k8s.io', 'networkpolicies'],
      ['list watch get', 'core', 'endpoints services pods namespaces'],
      ['list watch get', 'discovery.k8s.io', 'endpointslices'],
      ['get', 'core', 'nodes'],
      ['patch', 'core', 'nodes nodes/status'],
    ],
  },
  {
    name: 'k3s-cloud-controller-manager',
    rules: [
      ['get create update', 'coordination.k8s.io', 'leases'],
      ['create patch update', 'core', 'events'],
      ['*', 'core', 'nodes'],
      ['patch', 'core', 'nodes/status services/status'],
      ['list patch update watch', 'core', 'services'],
      ['get list watch', 'core', 'namespaces pods endpoints'],
      ['create', 'core', 'serviceaccounts serviceaccounts/token'],
      ['*', 'apps', 'daemonsets'],
      ['*', 'core', 'pods'],
      ['get list watch', 'discovery.k8s.io', 'endpointslices'],
    ],
  },
]

export const k3sBindingData: readonly BindingData[] = [
  { name: 'kube-apiserver-kubelet-admin', clusterRole: 'system:kubelet-api-admin', subjects: ['user:kube-apiserver'] },
  { name: 'system:k3s-controller', clusterRole: 'system:k3s-controller', subjects: ['user:system:k3s-controller'] },
  { name: 'k3s-cloud-controller-manager', clusterRole: 'k3s-cloud-controller-manager', subjects: ['user:k3s-cloud-controller-manager'] },
  {
    name: 'k3s-cloud-controller-manager-auth-delegator',
    clusterRole: 'system:auth-delegator',
    subjects: ['user:k3s-cloud-controller-manager'],
  },
  {
    name: 'k3s-cloud-controller-manager-authentication-reader',
    namespace: 'kube-system',
    role: 'extension-apiserver-authentication-reader',
    subjects: ['user:k3s-cloud-controller-manager'],
  },
]
