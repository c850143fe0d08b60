import type { ExpressionWarning, NamedRuleWithOperations, ValidatingAdmissionPolicy } from '@k3s/api/types/admissionregistration/v1'
import type { CelType, Environment } from '@k3s/cel'
import type { ServedResource } from '../../registry/served-resource.ts'
import { admissionEnvironment } from '../expressions/environment.ts'
import { compileExpression } from '../expressions/expression.ts'
import { composeInTurns } from '../expressions/variables.ts'
import { Pace } from '../../off-loop/pace.ts'
import type { Catalog } from '../matching/catalog.ts'
import { formatKind } from '../matching/rules.ts'
import { knownTypeOf } from './known-types.ts'
import { paramResource } from './params.ts'

// As upstream: what a rule is about, at most.
const maxTypes = 10
const head = 'compilation failed: '

/** What is suspicious about the expressions of a policy, by the types of what it is about; in several turns of the event loop when they are many. A policy about everything is not checked. */
export async function checkTypes({ spec }: ValidatingAdmissionPolicy, catalog: Catalog): Promise<readonly ExpressionWarning[]> {
  const pace = new Pace()
  const params = paramTypeOf(spec.paramKind, catalog)
  const checked: { readonly name: string; readonly environment: Environment }[] = []
  for (const served of typesOf(spec.matchConstraints?.resourceRules ?? [], catalog)) {
    await pace.step()
    const object = knownTypeOf(served)
    if (object === undefined) continue
    const environmentWith = (variables: ReadonlyMap<string, CelType>): Environment =>
      admissionEnvironment({ hasParams: spec.paramKind !== undefined, hasAuthorizer: true, variables, types: { object, params } })
    const { types } = await composeInTurns(spec.variables ?? [], environmentWith, pace)
    checked.push({ name: formatKind(served.type), environment: environmentWith(types) })
  }
  const warnings: ExpressionWarning[] = []
  const check = async (expression: string, fieldRef: string): Promise<void> => {
    const problems: string[] = []
    for (const { name, environment } of checked) {
      const { problem } = compileExpression(environment, expression)
      if (problem !== undefined) problems.push(`${name}: ${problem.startsWith(head) ? problem.slice(head.length) : problem}\n`)
      await pace.step()
    }
    if (problems.length > 0) warnings.push({ fieldRef, warning: problems.join('\n') })
  }
  for (const [index, { expression, messageExpression = '' }] of (spec.validations ?? []).entries()) {
    const field = `spec.validations[${index}]`
    await check(expression, `${field}.expression`)
    if (messageExpression !== '') await check(messageExpression, `${field}.messageExpression`)
  }
  return warnings
}

function paramTypeOf(kind: ValidatingAdmissionPolicy['spec']['paramKind'], catalog: Catalog): CelType | undefined {
  try {
    const served = paramResource(kind, catalog)
    return served === undefined ? undefined : knownTypeOf(served)
  } catch {
    return undefined // a kind that is not there may come: its parameters may be anything
  }
}

/** The resources that rules name, without those that they name by wildcards; sorted by their kinds. */
function typesOf(rules: readonly NamedRuleWithOperations[], catalog: Catalog): readonly ServedResource[] {
  const found = new Map<string, ServedResource>()
  for (const { apiGroups = [], apiVersions = [], resources = [] } of rules) {
    if ([...apiGroups, ...apiVersions].some((name) => name.includes('*'))) continue
    let count = 0
    for (const group of apiGroups.toSorted())
      for (const version of apiVersions.toSorted())
        for (const resource of resources.filter((name) => !/[*/]/.test(name)).toSorted()) {
          const served = count < maxTypes ? catalog.find({ group, version, resource }) : undefined
          if (served === undefined) continue
          found.set(`${group} ${version} ${served.type.kind}`, served)
          count++
        }
    if (count === maxTypes) break
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, served]) => served)
}
