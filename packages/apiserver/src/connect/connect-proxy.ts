import type { OutgoingHttpHeaders } from 'node:http'
import type { Logger } from '@k3s/lifecycle'
import type { NodeConnector } from '../api-server.ts'
import type { HttpRequest, HttpResponse } from '../http/send-answer.ts'
import type { ConnectTarget } from '../pipeline/answer.ts'

/** Passes requests on to kubelets, pods and services. */
export interface ConnectProxy {
  forward(request: HttpRequest, response: HttpResponse, target: ConnectTarget, headers: OutgoingHttpHeaders): Promise<void>
}

export function createConnectProxy(options: { readonly connector: NodeConnector | undefined; readonly logger: Logger }): ConnectProxy {
  void options
  return { forward: () => Promise.reject(new Error('not yet')) }
}
