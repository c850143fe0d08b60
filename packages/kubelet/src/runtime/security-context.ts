import { join } from 'node:path'
import type { Container, Pod, SeccompProfile } from '@k3s/api/types/core/v1'
import type {
  CriInput,
  LinuxContainerSecurityContext,
  LinuxSandboxSecurityContext,
  NamespaceOption,
  SecurityProfile,
} from '@k3s/cri-client'

/** What upstream masks and protects in a container's /proc and /sys unless `procMount` is Unmasked. */
const maskedPaths = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

/** Who an image runs as by itself. */
export interface ImageUser {
  readonly uid: number | undefined
  /** Empty when the image names no user, or names it by number. */
  readonly username: string
}

const seccompOf = (profile: SeccompProfile | undefined, seccompDir: string): CriInput<SecurityProfile> | undefined => {
  if (profile === undefined) return undefined
  switch (profile.type) {
    case 'RuntimeDefault':
      return { profileType: 'RuntimeDefault' }
    case 'Localhost':
      return { profileType: 'Localhost', localhostRef: join(seccompDir, profile.localhostProfile ?? '') }
    default:
      return { profileType: 'Unconfined' }
  }
}

const int64 = (value: number | undefined): { readonly value: number } | undefined => (value === undefined ? undefined : { value })

/** Namespaces that the pod's spec asks for; `targetId` joins an ephemeral container to another's processes. */
export function namespaceOptions(pod: Pod, targetId?: string): CriInput<NamespaceOption> {
  return {
    network: pod.spec.hostNetwork === true ? 'NODE' : 'POD',
    ipc: pod.spec.hostIPC === true ? 'NODE' : 'POD',
    pid:
      targetId !== undefined
        ? 'TARGET'
        : pod.spec.hostPID === true
          ? 'NODE'
          : pod.spec.shareProcessNamespace === true
            ? 'POD'
            : 'CONTAINER',
    ...(targetId === undefined ? {} : { targetId }),
  }
}

export function sandboxSecurityContext(pod: Pod, seccompDir: string): CriInput<LinuxSandboxSecurityContext> {
  const context = pod.spec.securityContext ?? {}
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? []), ...(pod.spec.ephemeralContainers ?? [])]
  return {
    namespaceOptions: namespaceOptions(pod),
    privileged: all.some(({ securityContext }) => securityContext?.privileged === true),
    runAsUser: int64(context.runAsUser),
    runAsGroup: context.runAsUser === undefined ? undefined : int64(context.runAsGroup),
    supplementalGroups: [...(context.fsGroup === undefined ? [] : [context.fsGroup]), ...(context.supplementalGroups ?? [])],
    supplementalGroupsPolicy: context.supplementalGroupsPolicy === 'Strict' ? 'Strict' : 'Merge',
    // Follows upstream: the sandbox's own process is confined unless the pod says otherwise.
    seccomp: seccompOf(context.seccompProfile ?? { type: 'RuntimeDefault' }, seccompDir),
    ...(context.seLinuxOptions === undefined ? {} : { selinuxOptions: context.seLinuxOptions }),
  }
}

/** Throws what the status shows as CreateContainerConfigError when `runAsNonRoot` cannot be kept. */
export function verifyNonRoot(pod: Pod, container: Container, image: ImageUser): void {
  const own = container.securityContext
  const nonRoot = own?.runAsNonRoot ?? pod.spec.securityContext?.runAsNonRoot
  if (nonRoot !== true) return
  const where = `(pod: "${pod.metadata.name}_${pod.metadata.namespace ?? ''}(${pod.metadata.uid ?? ''})", container: ${container.name})`
  const user = own?.runAsUser ?? pod.spec.securityContext?.runAsUser
  if (user !== undefined) {
    if (user === 0) throw new Error(`container's runAsUser breaks non-root policy ${where}`)
    return
  }
  if (image.uid === 0) throw new Error(`container has runAsNonRoot and image will run as root ${where}`)
  if (image.uid === undefined && image.username !== '')
    throw new Error(
      `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root ${where}`,
    )
  if (image.uid === undefined) throw new Error(`container has runAsNonRoot and image will run as root ${where}`)
}

export interface ContainerSecurityOptions {
  readonly seccompDir: string
  /** False: no AppArmor profile is sent, since containerd refuses one there. */
  readonly hasAppArmor: boolean
  readonly targetId?: string | undefined
}

export function containerSecurityContext(
  pod: Pod,
  container: Container,
  image: ImageUser,
  options: ContainerSecurityOptions,
): CriInput<LinuxContainerSecurityContext> {
  const context = pod.spec.securityContext ?? {}
  const own = container.securityContext ?? {}
  const user = own.runAsUser ?? context.runAsUser ?? image.uid
  const privileged = own.privileged === true
  const addsAdmin = (own.capabilities?.add ?? []).some((name) => name === 'SYS_ADMIN' || name === 'CAP_SYS_ADMIN')
  const apparmor = own.appArmorProfile ?? context.appArmorProfile
  const unmasked = own.procMount === 'Unmasked'
  return {
    capabilities: {
      addCapabilities: (own.capabilities?.add ?? []).map((name) => name.replace(/^CAP_/, '')),
      dropCapabilities: (own.capabilities?.drop ?? []).map((name) => name.replace(/^CAP_/, '')),
    },
    privileged,
    namespaceOptions: namespaceOptions(pod, options.targetId),
    ...(user === undefined ? { runAsUsername: image.username } : { runAsUser: { value: user } }),
    runAsGroup: int64(own.runAsGroup ?? context.runAsGroup),
    readonlyRootfs: own.readOnlyRootFilesystem === true,
    supplementalGroups: [...(context.fsGroup === undefined ? [] : [context.fsGroup]), ...(context.supplementalGroups ?? [])],
    supplementalGroupsPolicy: context.supplementalGroupsPolicy === 'Strict' ? 'Strict' : 'Merge',
    noNewPrivs: own.allowPrivilegeEscalation === false && !privileged && !addsAdmin,
    maskedPaths: unmasked || privileged ? [] : maskedPaths,
    readonlyPaths: unmasked || privileged ? [] : readonlyPaths,
    seccomp: seccompOf(own.seccompProfile ?? context.seccompProfile ?? { type: 'Unconfined' }, options.seccompDir),
    ...(options.hasAppArmor && apparmor !== undefined
      ? {
          apparmor: {
            profileType:
              apparmor.type === 'Localhost'
                ? ('Localhost' as const)
                : apparmor.type === 'RuntimeDefault'
                  ? ('RuntimeDefault' as const)
                  : ('Unconfined' as const),
            localhostRef: apparmor.localhostProfile ?? '',
          },
        }
      : {}),
    ...((own.seLinuxOptions ?? context.seLinuxOptions) === undefined
      ? {}
      : { selinuxOptions: own.seLinuxOptions ?? context.seLinuxOptions }),
  }
}
