import { createHash } from 'node:crypto'
import { watch } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseYaml } from '@k3s/api'
import type { Container, Pod } from '@k3s/api/types/core/v1'
import type { Clock, Logger } from '@k3s/lifecycle'
import { configHashAnnotation, configSeenAnnotation, configSourceAnnotation } from './pod-facts.ts'

export interface StaticPodOptions {
  readonly dir: string
  readonly nodeName: string
  readonly clock: Clock
  readonly logger: Logger
  /** Called with all pods of the directory whenever they have changed, and once at the start. Must not throw. */
  readonly onChange: (pods: readonly Pod[]) => void
}

// Upstream's fileCheckFrequency; the watch is what notices usually.
const pollMs = 20_000

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A pod out of a manifest, named and marked as a static pod of this node. Throws when the text is no pod. */
export function staticPod(text: string, file: string, nodeName: string, seenMs: number): Pod {
  const parsed = parseYaml(text)
  if (!isRecord(parsed) || parsed['kind'] !== 'Pod' || parsed['apiVersion'] !== 'v1' || !isRecord(parsed['spec']))
    throw new Error(`Manifest "${file}" is not a v1 Pod`)
  const raw = parsed as unknown as Pod // checked as far as this code reads it: the rest is what CRI makes of it
  const { name, namespace } = raw.metadata
  if (typeof name !== 'string' || name === '') throw new Error(`Manifest "${file}" has no metadata.name`)
  if (!Array.isArray(raw.spec.containers)) throw new Error(`Manifest "${file}" has no spec.containers`)
  const hash = createHash('md5')
    .update(JSON.stringify({ nodeName, file, pod: parsed }))
    .digest('hex')
  const metadata = {
    ...raw.metadata,
    name: `${name}-${nodeName}`,
    namespace: namespace === undefined || namespace === '' ? 'default' : namespace,
    uid: raw.metadata.uid ?? hash,
    annotations: {
      ...raw.metadata.annotations,
      [configHashAnnotation]: hash,
      [configSourceAnnotation]: 'file',
      [configSeenAnnotation]: new Date(seenMs).toISOString(),
    },
  }
  const tolerations = [...(raw.spec.tolerations ?? []), { operator: 'Exists', effect: 'NoExecute' }]
  return { ...raw, metadata, spec: { ...withDefaults(raw.spec), nodeName, tolerations }, status: { phase: 'Pending' } }
}

function withDefaults(spec: Pod['spec']): Pod['spec'] {
  const container = (given: Container): Container => ({
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    ...given,
    ...(given.ports === undefined
      ? {}
      : {
          ports: given.ports.map((port) => ({
            protocol: 'TCP',
            ...(spec.hostNetwork === true ? { hostPort: port.containerPort } : {}),
            ...port,
          })),
        }),
  })
  return {
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    terminationGracePeriodSeconds: 30,
    enableServiceLinks: true,
    securityContext: {},
    schedulerName: 'default-scheduler',
    ...spec,
    containers: spec.containers.map((given) => container(given)),
    ...(spec.initContainers === undefined ? {} : { initContainers: spec.initContainers.map((given) => container(given)) }),
  }
}

/** Reads pods from the files of a directory (not from those that begin with a dot) and follows its changes. */
export class StaticPodSource {
  readonly #options: StaticPodOptions
  #known = new Map<string, { readonly text: string; readonly pod: Pod | undefined }>()

  constructor(options: StaticPodOptions) {
    this.#options = options
  }

  /** Reads until the signal aborts. A directory that is not there counts as empty. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, dir } = this.#options
    await this.#read(true)
    while (!signal.aborted) {
      const timer = new AbortController()
      const end = AbortSignal.any([signal, timer.signal])
      const changed = Promise.withResolvers<void>()
      let watcher
      try {
        watcher = watch(dir, () => changed.resolve())
        watcher.on('error', () => changed.resolve())
      } catch {
        // no such directory (yet): the poll finds it
      }
      await Promise.race([clock.sleep(pollMs, end).catch(() => {}), changed.promise]) // the loop's condition sees the abort
      // A file is seldom written in one go.
      await clock.sleep(100, end).catch(() => {})
      timer.abort()
      watcher?.close()
      if (!signal.aborted) await this.#read(false)
    }
  }

  async #read(isFirst: boolean): Promise<void> {
    const { clock, dir, logger, nodeName, onChange } = this.#options
    const files = (await readdir(dir).catch(() => [])).filter((name) => !name.startsWith('.')).toSorted() // not there: empty
    const next = new Map<string, { readonly text: string; readonly pod: Pod | undefined }>()
    let isChanged = isFirst
    for (const name of files) {
      const file = join(dir, name)
      const text = await readFile(file, 'utf8').catch(() => undefined) // a directory, or gone since it was listed
      if (text === undefined) continue
      const before = this.#known.get(file)
      if (before?.text === text) {
        next.set(file, before)
        continue
      }
      isChanged = true
      try {
        next.set(file, { text, pod: staticPod(text, file, nodeName, clock.now()) })
      } catch (err) {
        logger.error({ err, file }, 'Cannot read static pod')
        // Half written, maybe: the pod that was there goes on.
        next.set(file, { text, pod: before?.pod })
      }
    }
    if (next.size !== this.#known.size) isChanged = true
    this.#known = next
    if (isChanged) onChange([...next.values()].flatMap(({ pod }) => pod ?? []))
  }
}
