import { noLogger, noMetrics } from '@k3s/lifecycle'
import type { Clock } from '@k3s/lifecycle'
import type { Datastore } from '@k3s/datastore'
import { LogDatastore } from '../../src/engine/log-datastore.ts'
import type { Backend } from '../../src/engine/backend.ts'
import { randomOf, turns } from './random.ts'
import type { Random } from './random.ts'
import { SimulatedBackend } from './simulated-backend.ts'
import type { Around } from './simulated-backend.ts'

/** What is stored, which outlives the servers. */
export interface Disk extends AsyncDisposable {
  /** Opens it for one server. The disk of several servers is opened by each. */
  readonly open: () => Promise<Backend>
}

export interface ServerOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly seed: number
  /** How likely a commit kills the server, half of the time before it is done and half after. */
  readonly crashProbability: number
  readonly pageBytes: number
  /** What clients reach instead of the server itself. */
  readonly wrap?: ((store: Datastore) => Datastore) | undefined
}

/** A server with the real engine, which dies of its commits now and then, answers late, and comes back. */
export class SimulatedServer {
  readonly name: string
  readonly #options: ServerOptions
  readonly #random: Random
  readonly #onRestart: (name: string) => void
  #backend: SimulatedBackend | undefined
  #engine: Datastore | undefined
  #reached: Datastore | undefined
  #restarting: Promise<void> | undefined
  #isCalm = false

  private constructor(name: string, options: ServerOptions, onRestart: (name: string) => void) {
    this.name = name
    this.#options = options
    this.#random = randomOf(options.seed)
    this.#onRestart = onRestart
  }

  static async start(name: string, options: ServerOptions, onRestart: (name: string) => void): Promise<SimulatedServer> {
    const server = new SimulatedServer(name, options, onRestart)
    await server.#start()
    return server
  }

  /** Changes with each restart. */
  get store(): Datastore {
    if (this.#reached === undefined) throw new Error('The server has been started')
    return this.#reached
  }

  /** Resolves when the server runs again. */
  async settled(): Promise<void> {
    await turns(1)
    await this.#restarting
  }

  /** No crashes from now on. */
  calm(): void {
    this.#isCalm = true
  }

  /** Kills the server and starts it anew. */
  crash(): Promise<void> {
    this.#restarting ??= this.#restart().finally(() => {
      this.#restarting = undefined
    })
    return this.#restarting
  }

  async stop(): Promise<void> {
    await this.#restarting
    await this.#engine?.[Symbol.asyncDispose]()
  }

  async #restart(): Promise<void> {
    await this.#backend?.kill()
    await this.#engine?.[Symbol.asyncDispose]()
    await turns(this.#random.below(20))
    await this.#start()
    this.#onRestart(this.name)
  }

  async #start(): Promise<void> {
    const { disk, clock, pageBytes, wrap = (store) => store } = this.#options
    this.#backend = new SimulatedBackend(await disk.open(), this.#around, pageBytes)
    this.#engine = new LogDatastore(this.#backend, { logger: noLogger, metrics: noMetrics, clock })
    this.#reached = wrap(this.#engine)
  }

  readonly #around: Around = async (step, act) => {
    const random = this.#random
    await turns(random.chance(0.2) ? random.below(12) : 0)
    const fate = step === 'commit' && !this.#isCalm && random.chance(this.#options.crashProbability) ? random.below(2) : undefined
    if (fate === 0) {
      // Owned by the server, which settled() and stop() wait for.
      void this.crash()
      await turns(2)
    }
    const result = await act()
    if (fate === 1) {
      void this.crash()
      await turns(2)
    }
    await turns(random.chance(0.2) ? random.below(12) : 0)
    return result
  }
}
