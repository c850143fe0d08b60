import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { badRequest, hasReason } from '@k3s/api'
import { nodes } from '@k3s/api/types/core/v1'
import { EncryptionAtRest, reencrypt } from '@k3s/apiserver'
import type { Client } from '@k3s/client'
import type { Datastore } from '@k3s/datastore'
import { backoffDelay, systemClock, type Logger } from '@k3s/lifecycle'
import { readIfThere, writeAtomically } from '../files.ts'
import {
  EncryptionChangeError,
  encryptionHash,
  planChange,
  planFinished,
  readEncryptionConfig,
  renderEncryptionConfig,
  type EncryptionChange,
  type EncryptionStage,
  type SecretsCipher,
  type SecretsEncryptionState,
  type SecretsKey,
} from './encryption-plan.ts'

/** What `GET /v1-k3s/encrypt/status` answers, as K3s has it. */
export interface EncryptionStatus {
  readonly stage: EncryptionStage
  /** `AES-CBC NAME`; absent without a configuration. */
  readonly activekey?: string | undefined
  /** Absent without a configuration. */
  readonly enable?: boolean | undefined
  readonly hashmatch: boolean
  readonly hasherror?: string | undefined
  readonly inactivekeys?: readonly string[] | undefined
}

export interface SecretsEncryptionOptions {
  readonly serverDir: string
  /** `--secrets-encryption`. */
  readonly isWanted: boolean
  readonly cipher: SecretsCipher
  readonly datastore: Datastore
  readonly logger: Logger
}

const stages: readonly string[] = ['start', 'prepare', 'rotate', 'reencrypt_request', 'reencrypt_active', 'reencrypt_finished']
const hashAnnotation = 'k3s.io/encryption-config-hash'
const secretsPrefix = '/registry/secrets/'
const cipherLabels: Readonly<Record<SecretsCipher, string>> = { aescbc: 'AES-CBC', secretbox: 'XSalsa20-POLY1305' }

/**
 * Encryption of Secrets as K3s has it: `cred/encryption-config.json` holds the keys, `cred/encryption-state.json` the stage of a rotation.
 * Changes act at once, without a restart. The file always holds every key that anything is encrypted with: a crash at any point leaves all Secrets readable.
 */
export class SecretsEncryption {
  readonly #options: SecretsEncryptionOptions
  readonly #configFile: string
  readonly #stateFile: string
  #state: SecretsEncryptionState | undefined
  /** For `createApiServer`; undefined when Secrets were never to be encrypted. */
  readonly atRest: EncryptionAtRest | undefined
  #running: Promise<void> | undefined
  #client: Client | undefined
  #nodeName: string | undefined

  /** Reads the files, or makes them when encryption is wanted. Throws when they are damaged. */
  constructor(options: SecretsEncryptionOptions) {
    this.#options = options
    this.#configFile = join(options.serverDir, 'cred/encryption-config.json')
    this.#stateFile = join(options.serverDir, 'cred/encryption-state.json')
    const text = readIfThere(this.#configFile)
    if (text !== undefined) this.#state = readEncryptionConfig(text, this.#readStage())
    else if (options.isWanted)
      this.#save({ stage: 'start', enabled: true, cipher: options.cipher, keys: [newKey(options.cipher, undefined)] })
    if (this.#state !== undefined) this.atRest = new EncryptionAtRest(renderEncryptionConfig(this.#state))
  }

  /** Goes on, in the background, with what a crash interrupted. */
  resume(): void {
    const stage = this.#state?.stage
    if (stage === 'reencrypt_request' || stage === 'reencrypt_active') this.#startReencryption(true)
  }

  /** Says on the server's node how far this server is, until the signal aborts; then waits for what runs. */
  async run(client: Client, nodeName: string | undefined, signal: AbortSignal): Promise<void> {
    this.#client = client
    this.#nodeName = nodeName
    this.resume()
    for (let attempt = 0; !signal.aborted; attempt++) {
      await this.#annotate().catch(() => {}) // the node registers later; what matters is told by the status
      await systemClock.sleep(Math.max(5000, backoffDelay(attempt, { maxMs: 60_000 })), signal).catch(() => {}) // an abort ends the loop
    }
    await this.#running
  }

  async status(): Promise<EncryptionStatus> {
    const state = this.#state
    if (state === undefined) return { stage: 'start', hashmatch: true }
    const label = (key: SecretsKey): string => `${cipherLabels[state.cipher]} ${key.name}`
    const [active, ...inactive] = state.keys
    const error = await this.#hashError()
    return {
      stage: state.stage,
      ...(active === undefined ? {} : { activekey: label(active) }),
      enable: state.enabled,
      hashmatch: error === undefined,
      ...(error === undefined ? {} : { hasherror: error }),
      ...(inactive.length === 0 ? {} : { inactivekeys: inactive.map(label) }),
    }
  }

  /** Does what the body of a request asks for. Values are written anew in the background. Throws BadRequest. */
  change(body: unknown): void {
    const state = this.#state
    if (state === undefined)
      throw badRequest('Cannot change the encryption of Secrets: this cluster was started without --secrets-encryption')
    if (this.#running !== undefined) throw badRequest('Cannot change the encryption of Secrets: they are being encrypted anew')
    const change = parseChange(body)
    try {
      const plan = planChange(state, change, () => newKey(state.cipher, new Date(systemClock.now())))
      this.#save(plan.state)
      if (plan.reencrypts) this.#startReencryption(change.skip === true)
    } catch (error) {
      if (error instanceof EncryptionChangeError) throw badRequest(error.message)
      throw error
    }
    void this.#annotate().catch(() => {}) // see run()
  }

  /** First to disk, then in use: nothing is encrypted with a key that a crash could lose. */
  #save(state: SecretsEncryptionState): void {
    const config = renderEncryptionConfig(state)
    writeAtomically(this.#configFile, config)
    writeAtomically(this.#stateFile, `${JSON.stringify({ stage: state.stage, hash: encryptionHash(state.stage, config) })}\n`)
    this.#state = state
    this.atRest?.replace(config)
  }

  #readStage(): EncryptionStage {
    const text = readIfThere(this.#stateFile)
    if (text === undefined) return 'start'
    const value: unknown = JSON.parse(text)
    const stage = typeof value === 'object' && value !== null && 'stage' in value ? value.stage : undefined
    return typeof stage === 'string' && stages.includes(stage) ? (stage as EncryptionStage) : 'start' // one of them, see above
  }

  #startReencryption(keepsKeys: boolean): void {
    const { atRest } = this
    const { datastore, logger } = this.#options
    const state = this.#state
    if (atRest === undefined || state === undefined) return
    this.#save({ ...state, stage: 'reencrypt_active' })
    this.#running = reencrypt(datastore, atRest, secretsPrefix)
      .then(({ seen, written }) => {
        this.#save(planFinished({ ...state, stage: 'reencrypt_active' }, keepsKeys))
        logger.info({ seen, written }, 'Secrets are encrypted with the newest key')
      })
      .catch((error: unknown) => {
        // All keys are still there: it can be asked for again.
        this.#save({ ...state, stage: 'rotate' })
        logger.error({ err: error }, 'Secrets cannot be encrypted anew')
      })
      .finally(() => {
        this.#running = undefined
        void this.#annotate().catch(() => {}) // see run()
      })
  }

  #hash(): string | undefined {
    return this.#state === undefined ? undefined : encryptionHash(this.#state.stage, renderEncryptionConfig(this.#state))
  }

  async #annotate(): Promise<void> {
    const hash = this.#hash()
    if (this.#client === undefined || this.#nodeName === undefined || hash === undefined) return
    const resource = this.#client.resource(nodes)
    try {
      if ((await resource.get(this.#nodeName)).metadata.annotations?.[hashAnnotation] === hash) return
      await resource.patch(this.#nodeName, { metadata: { annotations: { [hashAnnotation]: hash } } }, { type: 'merge' })
    } catch (error) {
      if (!hasReason(error, 'NotFound')) throw error
    }
  }

  /** Servers that have another configuration than this one; undefined: none. */
  async #hashError(): Promise<string | undefined> {
    const own = this.#hash()
    if (this.#client === undefined) return undefined
    const { items } = await this.#client.resource(nodes).list()
    const others = items.filter(
      ({ metadata }) => metadata.name !== this.#nodeName && ![undefined, own].includes(metadata.annotations?.[hashAnnotation]),
    )
    return others.length === 0
      ? undefined
      : `hash does not match between ${this.#nodeName ?? 'this server'} and ${others.map(({ metadata }) => metadata.name).join(', ')}`
  }
}

/** K3s's names: the first has none of time. */
function newKey(cipher: SecretsCipher, at: Date | undefined): SecretsKey {
  const suffix = at === undefined ? '' : `-${at.toISOString().slice(0, 19)}Z`
  return { name: `${cipher}key${suffix}`, secret: randomBytes(32).toString('base64') }
}

function parseChange(body: unknown): EncryptionChange {
  if (typeof body !== 'object' || body === null) throw badRequest('the body of the request must be an object')
  const { stage, enable, force, skip } = body as Readonly<Record<string, unknown>> // an object, see above
  const steps = ['prepare', 'rotate', 'reencrypt_request', 'rotate_keys'] as const
  const step = steps.find((one) => one === stage)
  if (stage !== undefined && stage !== '' && step === undefined) throw badRequest(`unknown stage ${JSON.stringify(stage)}`)
  return {
    stage: step,
    enable: typeof enable === 'boolean' ? enable : undefined,
    force: force === true,
    skip: skip === true,
  }
}
