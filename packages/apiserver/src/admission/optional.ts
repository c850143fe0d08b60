import { StatusError } from '@k3s/api'
import { type Pod, pods, type Service, services, type Toleration } from '@k3s/api/types/core/v1'
import { notSupported } from '../validation/field-error.ts'
import { semanticEqual } from '../validation/equality.ts'
import type { AdmissionPlugin, AdmissionRequest } from './admission.ts'
import { objectOf, oldObjectOf, refusal } from './requests.ts'

/** Admission that is off unless it is asked for, as upstream has it. */

/** A place of a pod where a pull policy stands. */
interface Pull {
  readonly field: string
  readonly policy: string | undefined
  always(): void
}

const containerLists = ['initContainers', 'containers', 'ephemeralContainers'] as const

function pullsOf({ spec }: Pod): Pull[] {
  const containers = containerLists.flatMap((list) =>
    (spec[list] ?? []).map((container, index) => ({
      field: `spec.${list}[${index}].imagePullPolicy`,
      policy: container.imagePullPolicy,
      always: () => void (container.imagePullPolicy = 'Always'),
    })),
  )
  const volumes = (spec.volumes ?? []).flatMap(({ image }, index) =>
    image === undefined
      ? []
      : [
          {
            field: `spec.volumes[${index}].image.pullPolicy`,
            policy: image.pullPolicy,
            always: () => void (image.pullPolicy = 'Always'),
          },
        ],
  )
  return [...containers, ...volumes]
}

const imagesOf = (pod: Pod | undefined): (string | undefined)[] =>
  containerLists.flatMap((list) => (pod?.spec[list] ?? []).map(({ image }) => image))

/** The pod of a create, or of an update that brings a new image. */
function podWithImages(request: AdmissionRequest): Pod | undefined {
  const pod = objectOf(request, pods, ['CREATE', 'UPDATE'])
  if (pod === undefined || request.operation === 'CREATE') return pod
  const known = new Set(imagesOf(oldObjectOf(request, pods)))
  return imagesOf(pod).every((image) => known.has(image)) ? undefined : pod
}

/** Every image is pulled anew, so that its registry is asked whether this pod may have it. */
const alwaysPullImages: AdmissionPlugin = {
  name: 'AlwaysPullImages',
  admit(request): void {
    const pod = podWithImages(request)
    if (pod !== undefined) for (const pull of pullsOf(pod)) pull.always()
  },
  validate(request): void {
    const pod = podWithImages(request)
    const messages = (pod === undefined ? [] : pullsOf(pod))
      .filter(({ policy }) => policy !== 'Always')
      .map(({ field, policy }) => refusal(request, `${field}: ${notSupported(field, policy ?? '', ['Always']).message}`))
    const [first, ...others] = messages
    if (first === undefined) return
    if (others.length === 0) throw first
    throw new StatusError('Forbidden', `[${messages.map(({ message }) => message).join(', ')}]`)
  },
}

/** Services take no new external addresses, by which they could catch the traffic of others. */
const denyServiceExternalIps: AdmissionPlugin = {
  name: 'DenyServiceExternalIPs',
  validate(request): void {
    const service: Service | undefined = objectOf(request, services, ['CREATE', 'UPDATE'])
    const known = new Set(oldObjectOf(request, services)?.spec.externalIPs)
    if (service?.spec.externalIPs?.every((ip) => known.has(ip)) === false)
      throw refusal(request, 'Use of external IPs is denied by admission control')
  },
}

/** As upstream: `example.com/gpu`, but nothing of Kubernetes' own. */
const isExtended = (name: string): boolean =>
  name.includes('/') && !name.includes('kubernetes.io/') && !name.startsWith('requests.') && !name.startsWith('hugepages-')

/** Pods tolerate the taints of nodes that are there for the devices they ask for. */
const extendedResourceToleration: AdmissionPlugin = {
  name: 'ExtendedResourceToleration',
  admit(request): void {
    const pod = objectOf(request, pods, ['CREATE', 'UPDATE'])
    if (pod === undefined) return
    const { containers, initContainers = [] } = pod.spec
    const asked = [...containers, ...initContainers].flatMap(({ resources }) => Object.keys(resources?.requests ?? {}))
    for (const key of [...new Set(asked)].filter(isExtended).toSorted()) {
      const added: Toleration = { key, operator: 'Exists', effect: 'NoSchedule' }
      if (pod.spec.tolerations?.some((own) => semanticEqual(own, added)) !== true)
        pod.spec.tolerations = [...(pod.spec.tolerations ?? []), added]
    }
  },
}

const hostname = 'kubernetes.io/hostname'

/** Pods keep others off a node at most, not off a whole zone. */
const limitPodHardAntiAffinityTopology: AdmissionPlugin = {
  name: 'LimitPodHardAntiAffinityTopology',
  validate(request): void {
    const pod = objectOf(request, pods, ['CREATE', 'UPDATE'])
    const terms = pod?.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []
    const odd = terms.find(({ topologyKey }) => topologyKey !== hostname)
    if (odd === undefined) return
    const why = `affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ${odd.topologyKey} but only key ${hostname} is allowed`
    throw refusal(request, why)
  },
}

/** By name: what `enabled` may say beside the plugins that are on anyway. */
export const optionalAdmission: readonly AdmissionPlugin[] = [
  limitPodHardAntiAffinityTopology,
  alwaysPullImages,
  extendedResourceToleration,
  denyServiceExternalIps,
]
