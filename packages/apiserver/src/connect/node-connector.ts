import type { Duplex } from 'node:stream'

/** How to reach the kubelet of a node, wherever it is. Declared here, given by the application. */
export interface NodeConnector {
  /** A byte stream to `port` on the node's own loopback or address; TLS to the kubelet is spoken over it. Rejects when the node cannot be reached. */
  dial(node: string, port: number, signal: AbortSignal): Promise<Duplex>
  /** A byte stream to an address in the cluster: a pod's IP, for `proxy`. Absent: the address is dialled directly. */
  dialAddress?(host: string, port: number, signal: AbortSignal): Promise<Duplex>
  /** Our client certificate for kubelets, and the CA of theirs. Read for every connection. */
  kubeletTls(): { readonly cert: string; readonly key: string; readonly ca?: string | undefined }
}
