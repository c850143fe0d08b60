import type { KubernetesObject } from '@k3s/api'
import { dns1123Label } from '../../validation/names.ts'

/** Pods are named after their owner: what is no DNS label surprises later. */
export function podNameWarnings({ metadata }: KubernetesObject): readonly string[] {
  const problems = dns1123Label(metadata.name)
  return problems.length === 0
    ? []
    : [
        `metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [${problems.join(' ')}]`,
      ]
}
