export type * from './informer-contract.ts'
export type * from './client.ts'
export type * from './transport.ts'
