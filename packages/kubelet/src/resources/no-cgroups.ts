import type { CgroupManager } from './cgroups.ts'

/** For processes that may not make control groups, and for tests: pods live wherever the runtime puts them, and have no limits in common. */
export const noCgroups: CgroupManager = {
  version: 2,
  podCgroup: () => '',
  runtimePath: () => '',
  createBase: () => Promise.resolve(),
  createPod: () => Promise.resolve(),
  removePod: () => Promise.resolve(),
  podsPresent: () => Promise.resolve([]),
  usage: () => Promise.resolve(undefined),
}
