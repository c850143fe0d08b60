/** What differs between the places where a pod's spec stands. */
export interface PodRules {
  /** A pod itself, not a template: rules that came after templates without them were stored. */
  readonly isPod: boolean
  /** `--allow-privileged`. */
  readonly allowPrivileged: boolean
}

/** Rules for templates of workloads. */
export const templateRules: PodRules = { isPod: false, allowPrivileged: true }
