import type { Authorizer } from '../../auth/auth.ts'
import type { Catalog } from '../matching/catalog.ts'

/** What the plugins of policies work with. */
export interface PolicyOptions {
  readonly catalog: Catalog
  /** Asked by expressions. */
  readonly authorizer: Authorizer
}
