import type { KubernetesObject, ResourceType } from '@k3s/api'
import { TooCostly } from '../custom-resources/schema/rules.ts'
import type { HeavyInputs, Tracked } from '../off-loop/heavy-contract.ts'
import type { HeavyDefinition } from '../off-loop/heavy-definition.ts'
import { readLarge, replaceFields, scopeFacts, seenFacts, type HeavyWork } from '../off-loop/heavy-work.ts'
import { stringifyInTurns } from '../off-loop/json-in-turns.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { WriteScope } from './write-scope.ts'

/** How the steps of a write are done off the event loop. */
export interface HeavyWrite {
  readonly work: HeavyWork
  /** What the client named in its path. */
  readonly type: ResourceType
  /** Of custom resources. */
  readonly definition: HeavyDefinition | undefined
  /** Who owns what the write sets. */
  readonly tracked: Tracked
  readonly isHeavyBody: boolean
  /** Whether this write of an object is to be done so. */
  isHeavy(current: CachedObject): boolean
}

type Rest<Kind extends 'beginCreate' | 'finishCreate' | 'beginUpdate' | 'finishUpdate'> = Omit<
  HeavyInputs[Kind],
  'type' | 'object' | 'scope' | 'tracked' | 'current'
>

/** What the last step of a write found. */
export interface Finished {
  readonly isUnchanged: boolean | undefined
  /** The value to store. */
  readonly value: Buffer | undefined
}

/** The steps of one write, off the event loop: they change the object as the functions of the same names do. */
export class HeavySteps {
  readonly #write: HeavyWrite
  readonly #scope: WriteScope

  constructor(write: HeavyWrite, scope: WriteScope) {
    this.#write = write
    this.#scope = scope
  }

  async beginCreate(object: KubernetesObject): Promise<void> {
    const { type, tracked } = this.#write
    await this.#step('beginCreate', object, { type, tracked })
  }

  finishCreate(object: KubernetesObject, rest: Rest<'finishCreate'>): Promise<Finished> {
    return this.#step('finishCreate', object, { ...rest, type: this.#write.type, scope: scopeFacts(this.#scope) })
  }

  async beginUpdate(object: KubernetesObject, current: CachedObject, rest: Rest<'beginUpdate'>): Promise<void> {
    const { type, tracked } = this.#write
    await this.#step('beginUpdate', object, { ...rest, type, tracked, current: seenFacts(current), scope: scopeFacts(this.#scope) })
  }

  finishUpdate(object: KubernetesObject, current: CachedObject, rest: Rest<'finishUpdate'>): Promise<Finished> {
    const { type } = this.#write
    return this.#step('finishUpdate', object, { ...rest, type, current: seenFacts(current), scope: scopeFacts(this.#scope) })
  }

  async #step<Kind extends 'beginCreate' | 'finishCreate' | 'beginUpdate' | 'finishUpdate'>(
    kind: Kind,
    object: KubernetesObject,
    rest: Omit<HeavyInputs[Kind], 'object'>,
  ): Promise<Finished> {
    const json: Uint8Array = await stringifyInTurns(object)
    const input = { ...rest, object: json } as HeavyInputs[Kind] // all but the object is in `rest`
    const { warnings, isUnchanged, value, ...done } = await this.#write.work.run(kind, input, this.#scope.signal, this.#write.definition)
    for (const warning of warnings) this.#scope.warn(warning)
    replaceFields(object, await readLarge(done.json))
    return { isUnchanged, value: value === undefined ? undefined : Buffer.from(value.buffer, value.byteOffset, value.byteLength) }
  }
}

// Some 10 ms: nearly all expressions cost a thousandth of it.
const maxRuleCost = 200_000

/** Does the last step of a write here unless its expressions cost too much: then it is done over again there. Both may be done after another. */
export async function hereOrThere(
  here: (scope: WriteScope) => void,
  there: (() => Promise<unknown> | undefined) | undefined,
  scope: WriteScope,
): Promise<void> {
  if (there === undefined) return here(scope)
  try {
    here({ ...scope, maxRuleCost })
  } catch (error) {
    if (!(error instanceof TooCostly)) throw error
    await there()
  }
}
