import { append } from '@k3s/lifecycle'
/** Formats of names, labels and the like, with apimachinery's messages. Each function returns what is wrong; an empty list means valid. */

const labelFormat = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const subdomainFormat = `${labelFormat}(\\.${labelFormat})*`
const underscoreLabelFormat = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?'
const underscoreSubdomainFormat = `${underscoreLabelFormat}(\\.${underscoreLabelFormat})*`
const dns1035Format = '[a-z]([-a-z0-9]*[a-z0-9])?'
const wildcardFormat = `\\*\\.${subdomainFormat}`
const keyFormat = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const labelValueFormat = `(${keyFormat})?`
const configKeyFormat = '[-._a-zA-Z0-9]+'
const headerFormat = '[-A-Za-z0-9]+'
const percentFormat = '[0-9]+%'
const httpPathFormat = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"

const whole = (format: string): RegExp => new RegExp(`^${format}$`)
const labelPattern = whole(labelFormat)
const subdomainPattern = whole(subdomainFormat)
const underscoreSubdomainPattern = whole(underscoreSubdomainFormat)
const dns1035Pattern = whole(dns1035Format)
const wildcardPattern = whole(wildcardFormat)
const keyPattern = whole(keyFormat)
const labelValuePattern = whole(labelValueFormat)
const configKeyPattern = whole(configKeyFormat)
const headerPattern = whole(headerFormat)
const percentPattern = whole(percentFormat)
const httpPathPattern = whole(httpPathFormat)

const keyMessage = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
const keyExamples = ['MyName', 'my.name', '123-abc']

/** Largest length of a DNS-1123 subdomain. */
export const maxSubdomainLength = 253

/** Upstream's sentence for a value that does not match `format`. */
export function regexError(message: string, format: string, ...examples: readonly string[]): string {
  if (examples.length === 0) return `${message} (regex used for validation is '${format}')`
  return `${message} (e.g. ${examples.map((example) => `'${example}'`).join(',  or ')}, regex used for validation is '${format}')`
}

/** Upstream's sentence for a value that is too long. */
export function maxLengthError(length: number): string {
  return `must be no more than ${length} characters`
}

/** Upstream's sentence for a number outside `low`..`high`, both included. */
export function rangeError(low: number, high: number): string {
  return `must be between ${low} and ${high}, inclusive`
}

/** A DNS label (RFC 1123): 63 characters, lower case letters, digits and `-`. */
export function dns1123Label(value: string): string[] {
  const problems = value.length > 63 ? [maxLengthError(63)] : []
  if (!labelPattern.test(value)) {
    problems.push(
      subdomainPattern.test(value)
        ? 'must not contain dots'
        : regexError(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            labelFormat,
            'my-name',
            '123-abc',
          ),
    )
  }
  return problems
}

interface Format {
  readonly maxLength: number
  readonly pattern: RegExp
  /** What a value that does not match is told. */
  readonly message: string
}

const dns1123SubdomainRule: Format = {
  maxLength: maxSubdomainLength,
  pattern: subdomainPattern,
  message: regexError(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
    subdomainFormat,
    'example.com',
  ),
}

const dns1123SubdomainWithUnderscoreRule: Format = {
  maxLength: maxSubdomainLength,
  pattern: underscoreSubdomainPattern,
  message: regexError(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
    underscoreSubdomainFormat,
    'example.com',
  ),
}

const dns1035LabelRule: Format = {
  maxLength: 63,
  pattern: dns1035Pattern,
  message: regexError(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
    dns1035Format,
    'my-name',
    'abc-123',
  ),
}

const wildcardDns1123SubdomainRule: Format = {
  maxLength: maxSubdomainLength,
  pattern: wildcardPattern,
  message: regexError(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    wildcardFormat,
    '*.example.com',
  ),
}

function formatProblems(value: string, { maxLength, pattern, message }: Format): string[] {
  return [...(value.length > maxLength ? [maxLengthError(maxLength)] : []), ...(pattern.test(value) ? [] : [message])]
}

/** A DNS subdomain (RFC 1123): 253 characters, labels joined with dots. */
export function dns1123Subdomain(value: string): string[] {
  return formatProblems(value, dns1123SubdomainRule)
}

/** As {@link dns1123Subdomain}, with underscores allowed (DNS search paths). */
export function dns1123SubdomainWithUnderscore(value: string): string[] {
  return formatProblems(value, dns1123SubdomainWithUnderscoreRule)
}

/** A DNS label that starts with a letter (RFC 1035). */
export function dns1035Label(value: string): string[] {
  return formatProblems(value, dns1035LabelRule)
}

/** `*.` and a DNS subdomain. */
export function wildcardDns1123Subdomain(value: string): string[] {
  return formatProblems(value, wildcardDns1123SubdomainRule)
}

/** A label key, annotation key, finalizer, condition type, resource name: `name` or `prefix/name`. */
export function qualifiedName(value: string): string[] {
  if (value.length <= 63 && keyPattern.test(value)) return []
  const problems: string[] = []
  const parts = value.split('/')
  if (parts.length > 2) {
    return [
      `a valid label key ${regexError(keyMessage, keyFormat, ...keyExamples)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ]
  }
  const name = parts.at(-1) ?? ''
  const prefix = parts.length === 2 ? parts[0] : undefined
  if (prefix === '') problems.push('prefix part must be non-empty')
  else if (prefix !== undefined)
    append(
      problems,
      dns1123Subdomain(prefix).map((problem) => `prefix part ${problem.replace(/ characters$/, ' bytes')}`),
    )
  if (name === '') problems.push('name part must be non-empty')
  else if (name.length > 63) problems.push('name part must be no more than 63 bytes')
  if (!keyPattern.test(name)) problems.push(`name part ${regexError(keyMessage, keyFormat, ...keyExamples)}`)
  return problems
}

/** A label's value; may be empty. */
export function labelValue(value: string): string[] {
  const problems = value.length > 63 ? ['must be no more than 63 bytes'] : []
  if (!labelValuePattern.test(value)) {
    problems.push(
      regexError(
        `a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character`,
        labelValueFormat,
        'MyValue',
        'my_value',
        '12345',
      ),
    )
  }
  return problems
}

/** A key of a ConfigMap or Secret. */
export function configMapKey(value: string): string[] {
  const problems = value.length > maxSubdomainLength ? [maxLengthError(maxSubdomainLength)] : []
  if (!configKeyPattern.test(value)) {
    problems.push(
      regexError(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        configKeyFormat,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    )
  }
  if (value === '.') problems.push("must not be '.'")
  else if (value === '..') problems.push("must not be '..'")
  else if (value.startsWith('..')) problems.push("must not start with '..'")
  return problems
}

/** The name of an environment variable: printable ASCII without `=`. */
export function envVarName(value: string): string[] {
  if (value === '') return ['environment variable name must be non-empty']
  return /^[ -<>-~]+$/.test(value)
    ? []
    : ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
}

export function httpHeaderName(value: string): string[] {
  return headerPattern.test(value)
    ? []
    : [regexError("a valid HTTP header must consist of alphanumeric characters or '-'", headerFormat, 'X-Header-Name')]
}

/** A percentage such as `25%`. */
export function percent(value: string): string[] {
  return percentPattern.test(value)
    ? []
    : [regexError("a valid percent string must be a numeric string followed by an ending '%'", percentFormat, '1%', '93%')]
}

/** A TCP or UDP port, 1 to 65535. */
export function portNumber(value: number): string[] {
  return value >= 1 && value <= 65535 ? [] : [rangeError(1, 65535)]
}

/** An IANA service name: at most 15 characters, lower case letters, digits and single hyphens. */
export function portName(value: string): string[] {
  const problems = value.length > 15 ? [maxLengthError(15)] : []
  if (!/^[-a-z0-9]+$/.test(value)) problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  if (!/[a-z]/.test(value)) problems.push('must contain at least one letter (a-z)')
  if (value.includes('--')) problems.push('must not contain consecutive hyphens')
  if (value.startsWith('-') || value.endsWith('-')) problems.push('must not begin or end with a hyphen')
  return problems
}

/** A user or group id of Linux. */
export function posixId(value: number): string[] {
  return value >= 0 && value <= 2147483647 ? [] : [rangeError(0, 2147483647)]
}

/** A name that is one segment of a URL's path (RBAC objects): anything but `.`, `..`, and names with `/` or `%`. */
export function pathSegment(value: string): string[] {
  if (value === '.' || value === '..') return [`may not be '${value}'`]
  return ['/', '%'].filter((character) => value.includes(character)).map((character) => `may not contain '${character}'`)
}

/** The path part of `example.com/path` names. */
export function isHttpPath(value: string): boolean {
  return httpPathPattern.test(value)
}

/** What a name that will get a suffix stands for: a trailing dash counts as a letter. */
export function maskTrailingDash(name: string): string {
  return name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name
}
