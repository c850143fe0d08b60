import { pathNotFound } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import type { ResourceRequest } from './resource-request.ts'

const connectSubresources = new Set(['log', 'exec', 'attach', 'portforward', 'proxy'])

/** Whether a subresource's requests go on to a kubelet or another server. */
export function isConnectSubresource(subresource: string): boolean {
  return connectSubresources.has(subresource)
}

export async function connectSubresource(core: ApiCore, request: ResourceRequest): Promise<Answer> {
  void core; void request
  throw pathNotFound()
}
