export type * from './contract.ts'
export { DatastoreError, isDatastoreError } from './errors.ts'
export type { DatastoreErrorCode, DatastoreErrorOptions } from './errors.ts'
