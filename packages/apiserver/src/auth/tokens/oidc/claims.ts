import type { UserInfo } from '../../auth.ts'
import type { ClaimSource, JwtAuthenticatorConfig } from './configuration.ts'
import { ClaimExpression, textsOf } from './expressions.ts'

type Claims = Readonly<Record<string, unknown>>
type Read<T> = (claims: Claims) => T

/** Makes the user of a token from its claims; throws an Error when a rule says no. Throws a TypeError when an expression cannot be compiled. */
export function claimsMapper({
  claimMappings,
  claimValidationRules = [],
  userValidationRules = [],
}: JwtAuthenticatorConfig): Read<UserInfo> {
  const { username, groups, uid, extra = [] } = claimMappings
  const readName = nameReader(username)
  const readGroups = groups === undefined ? () => [] : groupsReader(groups)
  const readUid = uid === undefined ? () => undefined : uidReader(uid)
  const extras = extra.map(({ key, valueExpression }) => ({ key, expression: new ClaimExpression(valueExpression, 'claims') }))
  const claimRules = claimValidationRules.map((rule) =>
    'claim' in rule ? requiredClaim(rule.claim, rule.requiredValue) : condition(rule.expression, rule.message, 'claims'),
  )
  const userRules = userValidationRules.map(({ expression, message }) => condition(expression, message, 'user'))
  return (claims) => {
    const user: UserInfo = { name: readName(claims), uid: readUid(claims), groups: readGroups(claims) }
    const more = extras.flatMap(({ key, expression }) => {
      const values = textsOf(expression.evaluate(claims))
      return values.length === 0 ? [] : [[key, values] as const]
    })
    const whole = more.length === 0 ? user : { ...user, extra: Object.fromEntries(more) }
    for (const check of claimRules) check(claims)
    const shown = { username: whole.name, uid: whole.uid ?? '', groups: whole.groups, extra: whole.extra ?? {} }
    for (const check of userRules) check(shown)
    return whole
  }
}

const own = (claims: Claims, name: string): unknown => (Object.hasOwn(claims, name) ? claims[name] : undefined)

function textClaim(claims: Claims, name: string): string {
  const value = own(claims, name)
  if (value === undefined) throw new Error(`claim not present`)
  if (typeof value !== 'string') throw new Error(`claim ${JSON.stringify(name)} is no string`)
  return value
}

function nameReader(source: ClaimSource): Read<string> {
  if ('expression' in source) {
    const expression = new ClaimExpression(source.expression, 'claims')
    return (claims) => {
      const value = expression.evaluate(claims)
      if (typeof value !== 'string')
        throw new Error('oidc: error evaluating username claim expression: username claim expression must return a string')
      if (value === '') throw new Error('oidc: empty username via CEL expression is not allowed')
      return value
    }
  }
  const { claim, prefix = '' } = source
  return (claims) => {
    let name: string
    try {
      name = textClaim(claims, claim)
    } catch (cause) {
      throw new Error(`oidc: parse username claims ${JSON.stringify(claim)}: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      })
    }
    // Who says that they have not looked is not believed.
    if (claim === 'email' && own(claims, 'email_verified') !== undefined && own(claims, 'email_verified') !== true)
      throw new Error('oidc: email not verified')
    return prefix + name
  }
}

function groupsReader(source: ClaimSource): Read<readonly string[]> {
  if ('expression' in source) {
    const expression = new ClaimExpression(source.expression, 'claims')
    return (claims) => textsOf(expression.evaluate(claims))
  }
  const { claim, prefix = '' } = source
  return (claims) => {
    const value = own(claims, claim)
    // Some issuers leave the claim out for those without groups, or give one group as a text.
    const groups: unknown[] = value === undefined ? [] : Array.isArray(value) ? value : [value]
    return groups.map((group) => {
      if (typeof group !== 'string') throw new Error(`oidc: parse groups claim ${JSON.stringify(claim)}: a group is no string`)
      return prefix + group
    })
  }
}

function uidReader(source: ClaimSource): Read<string | undefined> {
  if ('expression' in source) {
    const expression = new ClaimExpression(source.expression, 'claims')
    return (claims) => {
      const value = expression.evaluate(claims)
      if (typeof value !== 'string')
        throw new Error('oidc: error evaluating uid claim expression: uid claim expression must return a string')
      return value
    }
  }
  return (claims) => textClaim(claims, source.claim)
}

function requiredClaim(claim: string, wanted: string): Read<void> {
  return (claims) => {
    if (own(claims, claim) === undefined) throw new Error(`oidc: required claim ${claim} not present in ID token`)
    const value = textClaim(claims, claim)
    if (value !== wanted) throw new Error(`oidc: required claim ${claim} value does not match. Got = ${value}, want = ${wanted}`)
  }
}

function condition(source: string, message: string | undefined, variable: 'claims' | 'user'): Read<void> {
  const expression = new ClaimExpression(source, variable)
  return (value) => {
    if (!expression.holds(value)) throw new Error(`oidc: validation expression '${source}' failed: ${message ?? ''}`)
  }
}
