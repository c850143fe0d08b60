import type { Random } from './random.ts'
import type { Side } from './side.ts'

/** Something that is done to both sides. */
export interface Operation {
  readonly atMs: number
  /** What it must find as the plan left it. Operations that share a lane run one after another, in the order of the plan. */
  readonly lanes: readonly string[]
  /** What it is, without names. */
  readonly what: string
  /** Throws when it is refused. */
  run(side: Side): Promise<void>
}

/** An operation before its time is known. */
export type Step = Omit<Operation, 'atMs'>

/** A thing that the plan made. */
export interface Item {
  readonly name: string
  readonly bornMs: number
  /** Changes so far. */
  turn: number
}

/** What the plan knows of a namespace. */
export interface NamespaceModel {
  readonly name: string
  readonly diesAtMs: number
  readonly items: Map<string, Item[]>
}

/** What actions plan with. */
export interface Planner {
  readonly random: Random
  /** Milliseconds of the plan. */
  now(): number
  /** Names are never used twice. */
  nextNumber(): number
  /** Plans a step for later. */
  after(delayMs: number, step: Step): void
  /** Things that belong to no namespace, by kind. */
  readonly items: Map<string, Item[]>
  readonly namespaces: readonly NamespaceModel[]
}

/** What can be done: undefined when there is nothing to do it to. */
export interface NamespaceAction {
  readonly weight: number
  plan(planner: Planner, namespace: NamespaceModel): Step | undefined
}

export interface ClusterAction {
  readonly weight: number
  plan(planner: Planner): Step | undefined
}

/** A step in the lanes of what it is about. */
export function step(about: Named | readonly Named[], what: string, work: (side: Side) => Promise<unknown>): Step {
  return { lanes: [about].flat().map(({ name }) => name), what, run: async (side) => void (await work(side)) }
}

type Named = Pick<NamespaceModel, 'name'>

/** The things of a kind; what is put into it stays. */
export function itemsOf(items: Map<string, Item[]>, kind: string): Item[] {
  const present = items.get(kind)
  if (present !== undefined) return present
  const made: Item[] = []
  items.set(kind, made)
  return made
}

/** A new thing with a name that says its kind. */
export function newItem(planner: Planner, prefix: string): Item {
  return { name: `${prefix}${planner.nextNumber()}`, bornMs: planner.now(), turn: 0 }
}

/** One of them, if there is any. */
export const chosen = (random: Random, items: readonly Item[]): Item | undefined => (items.length === 0 ? undefined : random.pick(items))
