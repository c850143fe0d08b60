import { StatusError } from '@k3s/api'
import type { Answer } from './answer.ts'
import type { ApiCore } from './api-core.ts'
import type { ResourceRequest, WriteOptions } from './resource-request.ts'

export async function handleApply(core: ApiCore, request: ResourceRequest, value: unknown, options: WriteOptions): Promise<Answer> {
  void core; void request; void value; void options
  throw new StatusError('MethodNotAllowed', 'server-side apply is not ready')
}
