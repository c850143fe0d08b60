export type { ExecOptions, ExecResult, Host, HostProcess, SpawnOptions } from './host.ts'
export { createLab } from './lab.ts'
export type { Lab, LabOptions } from './lab.ts'
