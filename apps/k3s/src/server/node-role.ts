import { nodes } from '@k3s/api/types/core/v1'
import type { Client, InformerFactory } from '@k3s/client'
import { noLogger, type Logger, type Service } from '@k3s/lifecycle'

const roleLabel = 'node-role.kubernetes.io/control-plane'

/** Gives this server's node the role that a kubelet may not give itself. Follows K3s's control-plane controller. */
export function createNodeRole(options: {
  readonly client: Client
  readonly informers: InformerFactory
  readonly nodeName: string
  readonly logger?: Logger | undefined
}): Service {
  const { client, informers, nodeName, logger = noLogger } = options
  const informer = informers.informer(nodes)
  return {
    name: 'node-role',
    async run({ signal, ready }) {
      let work = Promise.resolve()
      const label = async (): Promise<void> => {
        try {
          await client.resource(nodes).patch(nodeName, { metadata: { labels: { [roleLabel]: 'true' } } }, { type: 'merge', signal })
        } catch (err) {
          // The node's next update brings us here again.
          if (!signal.aborted) logger.warn({ node: nodeName, err }, 'Cannot label the node as control plane')
        }
      }
      const check = ({
        metadata,
      }: {
        readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> | undefined }
      }): void => {
        if (metadata.name === nodeName && metadata.labels?.[roleLabel] !== 'true') work = work.then(label)
      }
      const remove = informer.addHandler({ add: check, update: (_, node) => check(node) })
      ready()
      if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      remove()
      await work
    },
  }
}
