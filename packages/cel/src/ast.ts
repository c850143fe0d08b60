import type { Value } from './values.ts'

interface Node {
  /** Unique within an expression. */
  readonly id: number
  /** Where it begins in the source, in UTF-16 units. */
  readonly offset: number
}

export type Expr =
  | (Node & { readonly kind: 'constant'; readonly value: Value })
  | (Node & { readonly kind: 'ident'; readonly name: string })
  | (Node & {
      readonly kind: 'select'
      readonly operand: Expr
      readonly field: string
      /** `has(operand.field)`. */ readonly isTest: boolean
    })
  | (Node & { readonly kind: 'call'; readonly name: string; readonly target: Expr | undefined; readonly args: readonly Expr[] })
  | (Node & { readonly kind: 'list'; readonly items: readonly { readonly value: Expr; readonly isOptional: boolean }[] })
  | (Node & {
      readonly kind: 'map'
      readonly entries: readonly { readonly key: Expr; readonly value: Expr; readonly isOptional: boolean }[]
    })
  | (Node & {
      readonly kind: 'struct'
      readonly name: string
      /** `offset` is that of the colon: problems of a field are shown there. */
      readonly fields: readonly { readonly name: string; readonly offset: number; readonly value: Expr; readonly isOptional: boolean }[]
    })
  | Fold

/** A loop: what macros become. */
export interface Fold extends Node {
  readonly kind: 'fold'
  readonly range: Expr
  /** Item of a list or key of a map; with `second`, index or key. */
  readonly first: string
  /** Item or value. */
  readonly second: string | undefined
  readonly accumulator: string
  readonly initial: Expr
  /** Goes on while true. */
  readonly condition: Expr
  readonly step: Expr
  readonly result: Expr
}
