import { createHash } from 'node:crypto'
import { parseEncryptionConfiguration } from '@k3s/apiserver'

/** K3s's stages of a rotation by steps. */
export type EncryptionStage = 'start' | 'prepare' | 'rotate' | 'reencrypt_request' | 'reencrypt_active' | 'reencrypt_finished'

export type SecretsCipher = 'aescbc' | 'secretbox'

export interface SecretsKey {
  readonly name: string
  /** Base64; never to be logged. */
  readonly secret: string
}

/** How Secrets are encrypted, and how far a rotation has come. */
export interface SecretsEncryptionState {
  readonly stage: EncryptionStage
  readonly enabled: boolean
  readonly cipher: SecretsCipher
  /** The first encrypts; all decrypt. */
  readonly keys: readonly SecretsKey[]
}

/** What `k3s secrets-encrypt` asks for: the body of `PUT /v1-k3s/encrypt/config`. */
export interface EncryptionChange {
  readonly stage?: 'prepare' | 'rotate' | 'reencrypt_request' | 'rotate_keys' | undefined
  readonly enable?: boolean | undefined
  /** Whatever the stage is. */
  readonly force?: boolean | undefined
  /** Keeps keys that nothing is encrypted with any more. */
  readonly skip?: boolean | undefined
}

const finished: readonly EncryptionStage[] = ['start', 'reencrypt_finished']

/** A change that cannot be made now; the message is for the operator. */
export class EncryptionChangeError extends Error {
  override readonly name = 'EncryptionChangeError'
}

/** The state after a change, before values are written anew; `reencrypts` says whether they must be. Throws an {@link EncryptionChangeError}. */
export function planChange(
  state: SecretsEncryptionState,
  change: EncryptionChange,
  newKey: () => SecretsKey,
): { readonly state: SecretsEncryptionState; readonly reencrypts: boolean } {
  const { stage, force = false } = change
  if (change.enable !== undefined) {
    if (!finished.includes(state.stage) && !force) throw wrongStage(state.stage, change.enable ? 'enable' : 'disable')
    return { state: { ...state, enabled: change.enable, stage: 'start' }, reencrypts: false }
  }
  if (!state.enabled && stage !== 'reencrypt_request')
    throw new EncryptionChangeError('Cannot rotate keys: encryption of Secrets is disabled; see "k3s secrets-encrypt enable"')
  switch (stage) {
    case 'prepare':
      if (!finished.includes(state.stage) && !force) throw wrongStage(state.stage, stage)
      return { state: { ...state, keys: [...state.keys, newKey()], stage: 'prepare' }, reencrypts: false }
    case 'rotate': {
      if (state.stage !== 'prepare' && !force) throw wrongStage(state.stage, stage)
      const newest = state.keys.at(-1)
      const keys = newest === undefined ? state.keys : [newest, ...state.keys.slice(0, -1)]
      return { state: { ...state, keys, stage: 'rotate' }, reencrypts: false }
    }
    case 'reencrypt_request':
      if (state.stage !== 'rotate' && !force) throw wrongStage(state.stage, 'reencrypt')
      return { state: { ...state, stage: 'reencrypt_request' }, reencrypts: true }
    case 'rotate_keys':
      if (!finished.includes(state.stage) && !force) throw wrongStage(state.stage, 'rotate-keys')
      return { state: { ...state, keys: [newKey(), ...state.keys], stage: 'reencrypt_request' }, reencrypts: true }
    case undefined:
      throw new EncryptionChangeError('Cannot change the encryption of Secrets: the request names no stage')
  }
}

/** The state when everything is encrypted with the first key. `keepsKeys`: old keys stay. */
export function planFinished(state: SecretsEncryptionState, keepsKeys: boolean): SecretsEncryptionState {
  return { ...state, stage: 'reencrypt_finished', keys: keepsKeys || !state.enabled ? state.keys : state.keys.slice(0, 1) }
}

function wrongStage(found: EncryptionStage, wanted: string): EncryptionChangeError {
  return new EncryptionChangeError(`Cannot ${wanted}: incorrect stage: ${found} found; --force does it all the same`)
}

/** K3s's `encryption-config.json`. */
export function renderEncryptionConfig({ enabled, cipher, keys }: SecretsEncryptionState): string {
  const own = { [cipher]: { keys } }
  const identity = { identity: {} }
  return `${JSON.stringify({
    kind: 'EncryptionConfiguration',
    apiVersion: 'apiserver.config.k8s.io/v1',
    resources: [{ resources: ['secrets'], providers: enabled ? [own, identity] : [identity, own] }],
  })}\n`
}

/** Reads `encryption-config.json`. Throws an Error that says what is wrong with it. */
export function readEncryptionConfig(text: string, stage: EncryptionStage): SecretsEncryptionState {
  const [entry] = parseEncryptionConfiguration(text)
  const providers = entry?.providers ?? []
  for (const provider of providers)
    if (provider.type === 'aescbc' || provider.type === 'secretbox')
      return {
        stage,
        enabled: providers[0]?.type !== 'identity',
        cipher: provider.type,
        keys: provider.keys.map(({ name, secret }) => ({ name, secret: secret.toString('base64') })),
      }
  throw new Error('Cannot use the encryption configuration: it has neither aescbc nor secretbox')
}

/** What servers compare: the value of the annotation `k3s.io/encryption-config-hash`. */
export function encryptionHash(stage: EncryptionStage, config: string): string {
  return `${stage}-${createHash('sha256').update(config).digest('hex')}`
}
