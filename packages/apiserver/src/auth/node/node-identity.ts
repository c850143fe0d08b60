import type { UserInfo } from '../auth.ts'

const prefix = 'system:node:'

/** The node that a kubelet's user stands for: `system:node:NAME` in the group `system:nodes`. Undefined for all others. */
export function nodeOf(user: UserInfo): string | undefined {
  return user.name.startsWith(prefix) && user.groups.includes('system:nodes') ? user.name.slice(prefix.length) : undefined
}
