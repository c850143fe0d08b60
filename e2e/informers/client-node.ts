import { KubeConfig, ListWatch, Watch, type KubernetesListObject, type KubernetesObject } from '@kubernetes/client-node'
import { createRestTransport, renderKubeconfig, type RestTransport } from '@k3s/client'
import type { ServerFiles } from '../src/server-files.ts'
import { keyOf, Monotony, type Cache, type Informers } from './disturb.ts'
import type { Kind } from './kinds.ts'

// A list on a frozen connection is given up this soon.
const listMs = 2500
const restartMs = 100

/** Informers of `@kubernetes/client-node`, which are started again after each error as its documentation asks. */
export class ClientNodeInformers implements Informers, AsyncDisposable {
  readonly #informers = new Map<string, ListWatch<KubernetesObject>>()
  readonly #transport: RestTransport
  readonly #monotony = new Monotony()
  #lists = 0
  #isStopped = false

  constructor(server: string, files: ServerFiles, kinds: readonly Kind[]) {
    const identity = { server, ca: files.ca.cert, ...files.admin }
    const config = new KubeConfig()
    config.loadFromString(renderKubeconfig(identity))
    this.#transport = createRestTransport({ ...identity, timeouts: { requestMs: listMs } })
    for (const { name, path } of kinds) {
      const list = async (): Promise<KubernetesListObject<KubernetesObject>> => {
        this.#lists++
        const { body } = await this.#transport.request({ method: 'GET', path })
        return body as KubernetesListObject<KubernetesObject> // what a list answers
      }
      const informer = new ListWatch<KubernetesObject>(path, new Watch(config), list, false)
      for (const verb of ['add', 'update', 'delete'] as const)
        informer.on(verb, ({ metadata = {} }) => this.#monotony.see(name, keyOf(metadata), metadata.resourceVersion ?? '0'))
      informer.on('error', () => {
        setTimeout(() => {
          if (!this.#isStopped) void informer.start() // tells of its errors here
        }, restartMs)
      })
      this.#informers.set(name, informer)
    }
  }

  /** How often one of them listed: more than once, when it was told that it is too late to go on. */
  get lists(): number {
    return this.#lists
  }

  async start(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.start()))
  }

  caches(): Promise<Readonly<Record<string, Cache>>> {
    const entries = [...this.#informers].map(([name, informer]) => {
      const objects = informer.list().map(({ metadata = {} }) => [keyOf(metadata), metadata.resourceVersion ?? ''] as const)
      return [name, Object.fromEntries(objects)] as const
    })
    return Promise.resolve(Object.fromEntries(entries))
  }

  complaints(): Promise<readonly string[]> {
    return Promise.resolve(this.#monotony.complaints)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true
    await Promise.all([...this.#informers.values()].map((informer) => informer.stop()))
    await this.#transport[Symbol.asyncDispose]()
  }
}
