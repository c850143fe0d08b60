/** The Kubernetes that this program is, as `/version` and the Node objects say. */
export const kubernetesVersion = 'v1.36.3+k3s1'
