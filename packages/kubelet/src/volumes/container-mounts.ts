import { randomUUID } from 'node:crypto'
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Container, Pod, VolumeMount } from '@k3s/api/types/core/v1'
import type { CriInput, Mount, MountPropagation } from '@k3s/cri-client'
import { expandStrictly } from '../config/expansion.ts'
import type { Mounter } from './mounter.ts'
import { bindSubPath, checkSubPath } from './sub-path.ts'
import type { ReadyVolume } from './volume-manager.ts'

export interface MountInput {
  readonly podDir: string
  readonly volumes: ReadonlyMap<string, ReadyVolume>
  readonly env: ReadonlyMap<string, string>
  readonly mounter: Mounter
  /** Text of /etc/hosts; `undefined`: the runtime's own. */
  readonly hostsFile: string | undefined
}

const propagations: Readonly<Record<string, MountPropagation>> = {
  HostToContainer: 'PROPAGATION_HOST_TO_CONTAINER',
  Bidirectional: 'PROPAGATION_BIDIRECTIONAL',
}

/** Everything that is mounted into a container: its volumes, /etc/hosts and the file for its termination message, which are made here. */
export async function containerMounts(pod: Pod, container: Container, input: MountInput): Promise<CriInput<Mount>[]> {
  const mounts: CriInput<Mount>[] = []
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const volume = input.volumes.get(mount.name)
    if (volume === undefined) throw new Error(`cannot find volume "${mount.name}" to mount into container "${container.name}"`)
    if (volume.kind === 'image')
      mounts.push({
        containerPath: mount.mountPath,
        readonly: true,
        image: { image: volume.image, userSpecifiedImage: volume.image },
        imageSubPath: mount.subPath ?? '',
      })
    else mounts.push(await volumeMount(pod, container, mount, index, volume, input))
  }
  const takes = (path: string): boolean => mounts.some(({ containerPath }) => containerPath?.replace(/\/+$/, '') === path)
  if (input.hostsFile !== undefined && !takes('/etc/hosts')) {
    const hostPath = join(input.podDir, 'etc-hosts')
    await writeFile(hostPath, input.hostsFile)
    await chmod(hostPath, 0o644)
    mounts.push({ containerPath: '/etc/hosts', hostPath, readonly: container.securityContext?.readOnlyRootFilesystem === true })
  }
  const messagePath = container.terminationMessagePath ?? '/dev/termination-log'
  if (messagePath !== '') {
    const dir = join(input.podDir, 'containers', container.name)
    await mkdir(dir, { recursive: true, mode: 0o750 })
    const hostPath = join(dir, randomUUID().slice(0, 8))
    await writeFile(hostPath, '')
    await chmod(hostPath, 0o666)
    mounts.push({ containerPath: messagePath, hostPath })
  }
  return mounts
}

async function volumeMount(
  pod: Pod,
  container: Container,
  mount: VolumeMount,
  index: number,
  volume: ReadyVolume & { readonly kind: 'path' },
  { podDir, env, mounter }: MountInput,
): Promise<CriInput<Mount>> {
  let subPath = mount.subPath ?? ''
  if (mount.subPathExpr !== undefined && mount.subPathExpr !== '') {
    subPath = expandStrictly(mount.subPathExpr, env)
    checkSubPath(subPath)
  }
  let hostPath = volume.path
  if (subPath !== '') {
    const target = join(podDir, 'volume-subpaths', mount.name, container.name, String(index))
    // One mount a container start: an earlier one may show a file that was replaced since.
    for (const point of [...(await mounter.mountsUnder(target))].toReversed()) await mounter.unmount(point)
    try {
      await bindSubPath(volume.path, subPath, target, mounter)
    } catch (cause) {
      throw new Error(`failed to prepare subPath for volumeMount "${mount.name}" of container "${container.name}"`, { cause })
    }
    hostPath = target
  } else if ((pod.spec.volumes ?? []).some(({ name, hostPath: source }) => name === mount.name && source !== undefined)) {
    // Docker's old service, which upstream keeps: a host path without a type that is not there becomes a directory.
    await stat(hostPath).catch(() => mkdir(hostPath, { recursive: true }))
  }
  return {
    containerPath: mount.mountPath.startsWith('/') ? mount.mountPath : join('/', mount.mountPath),
    hostPath,
    readonly: mount.readOnly === true || volume.readOnly,
    propagation: propagations[mount.mountPropagation ?? ''] ?? 'PROPAGATION_PRIVATE',
    ...(mount.recursiveReadOnly === 'Enabled' ? { recursiveReadOnly: true } : {}),
  }
}
