import type { Plugin } from '../framework.ts'

/** Keeps pods out of scheduling until their gates are removed, which is a change of the pod itself. */
export const schedulingGates: Plugin = {
  name: 'SchedulingGates',
  preEnqueue({ spec }) {
    const gates = spec.schedulingGates ?? []
    if (gates.length === 0) return undefined
    const names = gates.map(({ name }) => name).join(' ')
    return { plugin: 'SchedulingGates', reasons: [`waiting for scheduling gates: [${names}]`], isResolvable: false }
  },
  isWorthRetrying: () => false,
}
