import { type ServiceAccount, serviceaccounts } from '@k3s/api/types/core/v1'
import type { ResourceStrategy, Subresource } from '../../registry/strategy.ts'
import { plainColumns } from '../shared/columns.ts'

/** Rules for service accounts. `token` serves `serviceaccounts/NAME/token`. */
export function serviceAccountStrategy(token: Subresource | undefined): ResourceStrategy<ServiceAccount> {
  return {
    type: serviceaccounts,
    hasGeneration: false,
    columns: plainColumns(),
    ...(token === undefined ? {} : { subresources: { token } }),
  }
}
