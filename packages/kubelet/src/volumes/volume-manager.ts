import { chmod, mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasReason, quantityValue } from '@k3s/api'
import { persistentvolumeclaims, persistentvolumes, type PersistentVolume, type Pod, type Volume } from '@k3s/api/types/core/v1'
import type { Client } from '@k3s/client'
import { leastOf } from '@k3s/lifecycle'
import { podAmounts } from '../resources/amounts.ts'
import { podUid } from '../pods/pod-facts.ts'
import { writeAtomically } from './atomic-writer.ts'
import { checkHostPath } from './host-path.ts'
import type { Mounter } from './mounter.ts'
import { setOwnership } from './ownership.ts'
import { projectVolume, type ProjectionSources } from './projections.ts'

/** A pod's volume, ready for its containers. */
export type ReadyVolume =
  | { readonly kind: 'path'; readonly path: string; readonly readOnly: boolean }
  /** Mounted by the runtime itself. */
  | { readonly kind: 'image'; readonly image: string }

/** A volume that cannot be had now; the message is upstream's. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError'
  readonly volume: string

  constructor(volume: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.volume = volume
  }
}

export interface VolumeManagerOptions {
  readonly client: Client
  readonly mounter: Mounter
  /** The kubelet's own directory. */
  readonly rootDir: string
}

/** Sources of content, but for the pod's addresses, which every call brings. */
export type VolumeSources = ProjectionSources

/** Makes, refreshes and removes the volumes of pods under `rootDir/pods/UID`. Calls for one pod must not overlap. */
export class VolumeManager {
  readonly #options: VolumeManagerOptions
  /** Claims that were resolved, by pod and volume. */
  readonly #claims = new Map<string, { readonly path: string; readonly readOnly: boolean }>()
  /** Volumes whose ownership was set, by pod and volume. */
  readonly #owned = new Set<string>()

  constructor(options: VolumeManagerOptions) {
    this.#options = options
  }

  podDir(uid: string): string {
    return join(this.#options.rootDir, 'pods', uid)
  }

  /**
   * Brings all volumes of a pod to what they should be now; called again, it rewrites what has changed. Throws a {@link VolumeError}
   * for the first one that cannot be had.
   */
  async setUp(pod: Pod, sources: VolumeSources): Promise<ReadonlyMap<string, ReadyVolume>> {
    const ready = new Map<string, ReadyVolume>()
    await mkdir(join(this.podDir(podUid(pod)), 'volumes'), { recursive: true, mode: 0o750 })
    for (const volume of pod.spec.volumes ?? []) {
      try {
        ready.set(volume.name, await this.#setUpOne(pod, volume, sources))
      } catch (error) {
        if (error instanceof VolumeError) throw error
        const text = error instanceof Error ? error.message : String(error)
        throw new VolumeError(volume.name, `MountVolume.SetUp failed for volume "${volume.name}" : ${text}`, { cause: error })
      }
    }
    return ready
  }

  /** Unmounts and removes everything of a pod, its directory included. Idempotent. */
  async tearDown(uid: string): Promise<void> {
    const { mounter } = this.#options
    const dir = this.podDir(uid)
    for (const point of [...(await mounter.mountsUnder(dir))].toReversed()) await mounter.unmount(point)
    const left = await mounter.mountsUnder(dir)
    // Removing through a mount would delete what belongs to others.
    if (left.length > 0) throw new Error(`Cannot remove pod directory "${dir}": "${left[0] ?? ''}" is still mounted`)
    await rm(dir, { recursive: true, force: true })
    for (const key of this.#claims.keys()) if (key.startsWith(`${uid}/`)) this.#claims.delete(key)
    for (const key of this.#owned) if (key.startsWith(`${uid}/`)) this.#owned.delete(key)
  }

  /** Uids of all pods that have a directory. */
  async podsOnDisk(): Promise<string[]> {
    return await readdir(join(this.#options.rootDir, 'pods')).catch(() => []) // nothing was ever made
  }

  async #setUpOne(pod: Pod, volume: Volume, sources: VolumeSources): Promise<ReadyVolume> {
    if (volume.hostPath !== undefined) {
      await checkHostPath(volume.hostPath.path, volume.hostPath.type)
      return { kind: 'path', path: volume.hostPath.path, readOnly: false }
    }
    if (volume.emptyDir !== undefined) return await this.#emptyDir(pod, volume)
    if (volume.image !== undefined) return { kind: 'image', image: volume.image.reference ?? '' }
    if (volume.persistentVolumeClaim !== undefined) {
      const { claimName, readOnly } = volume.persistentVolumeClaim
      return await this.#claim(pod, volume.name, claimName, readOnly === true)
    }
    if (volume.ephemeral !== undefined) return await this.#claim(pod, volume.name, `${pod.metadata.name}-${volume.name}`, false)
    const files = await projectVolume(pod, volume, sources)
    if (files === undefined) throw unsupported(volume)
    const plugin =
      volume.configMap !== undefined
        ? 'configmap'
        : volume.secret !== undefined
          ? 'secret'
          : volume.downwardAPI !== undefined
            ? 'downward-api'
            : 'projected'
    const path = await this.#directory(pod, plugin, volume.name)
    const gid = pod.spec.securityContext?.fsGroup
    await writeAtomically(path, files, async (dir) => {
      if (gid !== undefined) await setOwnership(dir, { gid, readOnly: true })
    })
    return { kind: 'path', path, readOnly: true }
  }

  async #directory(pod: Pod, plugin: string, name: string): Promise<string> {
    const path = join(this.podDir(podUid(pod)), 'volumes', `kubernetes.io~${plugin}`, name)
    if ((await mkdir(path, { recursive: true, mode: 0o755 })) !== undefined) await chmod(path, 0o777)
    return path
  }

  async #emptyDir(pod: Pod, volume: Volume): Promise<ReadyVolume> {
    const { mounter } = this.#options
    const path = await this.#directory(pod, 'empty-dir', volume.name)
    const { medium = '', sizeLimit } = volume.emptyDir ?? {}
    if (medium !== '' && medium !== 'Memory') throw new Error(`unsupported storage medium ${medium}`)
    if (medium === 'Memory' && !(await mounter.mountsUnder(path)).includes(path)) {
      const limits = [quantityValue(sizeLimit), podAmounts(pod).limits.memoryBytes].filter((bytes) => bytes > 0)
      await mounter.tmpfs(path, limits.length === 0 ? 0 : leastOf(limits))
      await chmod(path, 0o777)
    }
    await this.#own(pod, volume.name, path, false)
    return { kind: 'path', path, readOnly: false }
  }

  /** Gives a volume to the pod's group, once in the life of this process. */
  async #own(pod: Pod, name: string, path: string, readOnly: boolean): Promise<void> {
    const { fsGroup, fsGroupChangePolicy } = pod.spec.securityContext ?? {}
    const key = `${podUid(pod)}/${name}`
    if (fsGroup === undefined || this.#owned.has(key)) return
    await setOwnership(path, { gid: fsGroup, readOnly, policy: fsGroupChangePolicy })
    this.#owned.add(key)
  }

  async #claim(pod: Pod, volumeName: string, claimName: string, readOnly: boolean): Promise<ReadyVolume> {
    const { client } = this.#options
    const key = `${podUid(pod)}/${volumeName}`
    const known = this.#claims.get(key)
    if (known !== undefined) return { kind: 'path', ...known }
    const namespace = pod.metadata.namespace ?? ''
    const fail = (message: string, cause?: unknown): VolumeError =>
      new VolumeError(volumeName, `Unable to attach or mount volumes: error processing PVC ${namespace}/${claimName}: ${message}`, {
        cause,
      })
    let volume: PersistentVolume
    try {
      const claim = await client.resource(persistentvolumeclaims).get(claimName, { namespace })
      const name = claim.spec.volumeName ?? ''
      if (claim.metadata.deletionTimestamp !== undefined) throw fail('PVC is being deleted')
      if (claim.status?.phase !== 'Bound' || name === '') throw fail('PVC is not bound')
      volume = await client.resource(persistentvolumes).get(name)
    } catch (error) {
      if (error instanceof VolumeError) throw error
      throw fail(hasReason(error, 'NotFound') ? 'failed to fetch PVC from API server: ' + error.message : String(error), error)
    }
    const { hostPath, local, csi } = volume.spec
    if (hostPath !== undefined) await checkHostPath(hostPath.path, hostPath.type)
    else if (local !== undefined) await checkHostPath(local.path, 'Directory')
    const path = hostPath?.path ?? local?.path
    if (path === undefined)
      throw new VolumeError(
        volumeName,
        csi === undefined
          ? `MountVolume.SetUp failed for volume "${volume.metadata.name}" : no volume plugin matched`
          : `MountVolume.MountDevice failed for volume "${volume.metadata.name}" : kubernetes.io/csi: attacher.MountDevice failed to create newCsiDriverClient: driver name ${csi.driver} not found in the list of registered CSI drivers`,
      )
    const resolved = { path, readOnly }
    if (local !== undefined) await this.#own(pod, volumeName, path, resolved.readOnly)
    this.#claims.set(key, resolved)
    return { kind: 'path', ...resolved }
  }
}

function unsupported(volume: Volume): VolumeError {
  const { name, csi } = volume
  if (csi !== undefined)
    return new VolumeError(
      name,
      `MountVolume.SetUp failed for volume "${name}" : kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name ${csi.driver} not found in the list of registered CSI drivers`,
    )
  return new VolumeError(name, `MountVolume.SetUp failed for volume "${name}" : no volume plugin matched`)
}
