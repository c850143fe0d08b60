import type { KubernetesObject } from '@k3s/api'
import { pods, type Pod } from '@k3s/api/types/core/v1'
import { createClient, createInformerFactory, type Client } from '@k3s/client'
import { FakeApiServer, type FakeApiServerOptions } from '@k3s/client/fake'
import { runAll, systemClock, type Clock, type Logger, type Service } from '@k3s/lifecycle'
import type { ControllerContext } from '../src/index.ts'

/** An Event as a controller told it. */
export interface ToldEvent {
  readonly object: string
  readonly type: string
  readonly reason: string
  readonly message: string
}

interface WorldParts {
  readonly server: FakeApiServer
  readonly client: Client
  readonly events: readonly ToldEvent[]
  /** Errors that controllers logged, conflicts aside. */
  readonly errors: readonly unknown[]
  /** Polls until `look` neither throws nor gives `undefined` or false; the last failure is thrown after ten seconds. */
  eventually<T>(look: () => T): Promise<NonNullable<T>>
  /** Resolves when no request has been made for a while: whatever the controllers wanted to do is done. */
  quiet(): Promise<void>
}

/** An API server in memory with controllers running on it. Disposing it stops them. */
// oxlint-disable-next-line typescript/no-redundant-type-constituents -- the linter reads tests without the library that declares AsyncDisposable
export type World = WorldParts & AsyncDisposable

const deadlineMs = 10_000

export interface WorldOptions extends FakeApiServerOptions {
  /** Of the controllers and the server. */
  readonly clock?: Clock | undefined
  /** Writes what must be there before the controllers start. */
  readonly scene?: ((server: FakeApiServer) => void) | undefined
}

/** Starts controllers on an empty server, and waits until they are ready. */
export async function startWorld(make: (context: ControllerContext) => readonly Service[], options: WorldOptions = {}): Promise<World> {
  let lastRequest = performance.now()
  const { scene, ...serverOptions } = options
  const server = new FakeApiServer({
    ...serverOptions,
    onRequest: (request) => {
      lastRequest = performance.now()
      return options.onRequest?.(request)
    },
  })
  scene?.(server)
  const client = createClient(server)
  const informers = createInformerFactory(client)
  const [events, errors]: [ToldEvent[], unknown[]] = [[], []]
  const logger: Logger = {
    debug() {},
    info() {},
    warn: (fields) => void errors.push(fields['err'] ?? fields),
    error: (fields) => void errors.push(fields['err'] ?? fields),
    child: () => logger,
  }
  const recorder = {
    event(object: KubernetesObject, type: string, reason: string, message: string): void {
      events.push({ object: object.metadata.name, type, reason, message })
    },
  }
  const services = make({ client, informers, clock: options.clock, logger, recorder })
  const abort = new AbortController()
  const ready = Promise.withResolvers<void>()
  const running = runAll([informers, ...services], abort.signal, ready.resolve)
  await Promise.race([ready.promise, running])
  const eventually = async <T>(look: () => T): Promise<NonNullable<T>> => {
    const end = performance.now() + deadlineMs
    for (;;) {
      try {
        const found = look()
        if (found !== undefined && found !== null && found !== false) return found
        if (performance.now() > end) throw new Error(`Still not so after ${deadlineMs} ms`)
      } catch (error) {
        if (performance.now() > end) throw error
      }
      await systemClock.sleep(2)
    }
  }
  return {
    server,
    client,
    events,
    errors,
    eventually,
    quiet: () => eventually(() => performance.now() - lastRequest > 60).then(() => {}),
    async [Symbol.asyncDispose]() {
      abort.abort()
      await running
    },
  }
}

/** Does what a kubelet's status updates would: marks pods of a namespace running and ready. */
export function makeReady(server: FakeApiServer, select: (pod: Pod) => boolean = () => true): void {
  for (const pod of server.all(pods)) {
    if (pod.metadata.deletionTimestamp !== undefined || pod.status?.phase === 'Running' || !select(pod)) continue
    server.put(pods, {
      ...pod,
      spec: { ...pod.spec, nodeName: pod.spec.nodeName ?? 'node-1' },
      status: {
        phase: 'Running',
        podIP: '10.0.0.1',
        podIPs: [{ ip: '10.0.0.1' }],
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString() }],
      },
    })
  }
}
