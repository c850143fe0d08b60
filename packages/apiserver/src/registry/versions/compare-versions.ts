const kubernetesVersion = /^v(\d+)(?:(alpha|beta)(\d+))?$/

/** Orders versions as Kubernetes prefers them: `v2`, `v1`, `v2beta1`, `v1alpha2`, and then all others by their names. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [kubernetesVersion.exec(a), kubernetesVersion.exec(b)]
  if (left === null || right === null) {
    if (left === null && right === null) return a < b ? -1 : a > b ? 1 : 0
    return left === null ? 1 : -1
  }
  const rank = ([, , stage]: readonly (string | undefined)[]): number => (stage === undefined ? 2 : stage === 'beta' ? 1 : 0)
  return rank(right) - rank(left) || Number(right[1]) - Number(left[1]) || Number(right[3] ?? 0) - Number(left[3] ?? 0)
}
