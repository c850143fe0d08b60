export { startFakeCri } from './fake-cri.ts'
export type { FakeCall, FakeCri, FakeCriOptions } from './fake-cri.ts'
export type { ContainerScript, ExecResult, FakeContainer, FakeSandbox } from './runtime.ts'
