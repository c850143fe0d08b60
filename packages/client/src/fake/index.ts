export { FakeApiServer } from './fake-api-server.ts'
export type { FakeApiServerOptions, FakeObject } from './fake-api-server.ts'
