import { Environment, listOf, mapOf, simple, type CelType, type ObjectType } from '@k3s/cel'
import { compileExpression } from '../../admission/expressions/expression.ts'
import { dynamicValue } from '../../admission/expressions/values.ts'
import { formats } from '../../custom-resources/schema/compile-rules.ts'
import { joinErrors } from '../../errors.ts'
import type { FieldError } from '../../registry/strategy.ts'
import { duplicate, invalidValue, required, tooMany } from '../../validation/field-error.ts'
import type { AccessReviewSpec } from './access-review.ts'

// Upstream's bounds: of one list, and of one expression (about a tenth of a second).
const maxConditions = 64
const maxCost = 1_000_000

const text = simple('string')
const object = (name: string, fields: Readonly<Record<string, CelType>>): ObjectType => ({
  kind: 'object',
  name: `kubernetes.${name}`,
  fields: new Map(Object.entries(fields)),
})

function makeEnvironment(): Environment {
  const requirements = listOf(object('SelectorRequirement', { key: text, operator: text, values: listOf(text) }))
  return new Environment({
    formats,
    variables: {
      request: object('SubjectAccessReviewSpec', {
        resourceAttributes: object('ResourceAttributes', {
          namespace: text,
          verb: text,
          group: text,
          version: text,
          resource: text,
          subresource: text,
          name: text,
          fieldSelector: object('FieldSelectorAttributes', { rawSelector: text, requirements }),
          labelSelector: object('LabelSelectorAttributes', { rawSelector: text, requirements }),
        }),
        nonResourceAttributes: object('NonResourceAttributes', { path: text, verb: text }),
        user: text,
        groups: listOf(text),
        extra: mapOf(text, listOf(text)),
        uid: text,
      }),
    },
  })
}

/** Which requests an authorization webhook is asked about. */
export interface MatchConditions {
  /** False when one does not hold, whatever is wrong with others; an error when it cannot be said. */
  hold(spec: AccessReviewSpec): boolean | { readonly error: string }
}

/** Compiles the conditions of an authorization webhook; what is wrong with them goes to `errors`. */
export function matchConditions(sources: readonly string[], field: string, errors: FieldError[]): MatchConditions {
  if (sources.length > maxConditions) {
    errors.push(tooMany(field, sources.length, maxConditions))
    return { hold: () => true }
  }
  const environment = makeEnvironment()
  const programs = sources.flatMap((source, index) => {
    const at = `${field}[${index}].expression`
    if (source.trim() === '') {
      errors.push(required(at))
      return []
    }
    if (sources.indexOf(source) < index) {
      errors.push(duplicate(at, source))
      return []
    }
    const { program, problem } = compileExpression(environment, source, [simple('bool')])
    if (problem !== undefined) errors.push(invalidValue(at, source, problem))
    return program === undefined ? [] : [{ source, program }]
  })
  return {
    hold(spec) {
      if (programs.length === 0) return true
      const variables = { request: dynamicValue(shown(spec)) }
      const failures: string[] = []
      for (const { source, program } of programs) {
        const outcome = program.evaluate(variables, maxCost)
        if ('error' in outcome) failures.push(`cel evaluation error: expression '${source}' resulted in error: ${outcome.error}`)
        else if (outcome.value !== true) return false
      }
      return failures.length === 0 || { error: joinErrors(failures) }
    },
  }
}

/** As upstream, every text is there for conditions, empty ones too. */
function shown({ resourceAttributes, nonResourceAttributes, ...subject }: AccessReviewSpec): object {
  const nothing = { namespace: '', verb: '', group: '', version: '', resource: '', subresource: '', name: '' }
  return {
    user: '',
    groups: [],
    uid: '',
    extra: {},
    ...subject,
    ...(resourceAttributes === undefined ? {} : { resourceAttributes: { ...nothing, ...resourceAttributes } }),
    ...(nonResourceAttributes === undefined ? {} : { nonResourceAttributes: { verb: '', path: '', ...nonResourceAttributes } }),
  }
}
