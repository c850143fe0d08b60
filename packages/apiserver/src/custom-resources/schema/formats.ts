import ipaddr from 'ipaddr.js'

/** Formats of strings that custom resources may ask for; follows kube-openapi's strfmt. Names are without dashes. */

const uuid = (version: string, variant = '[0-9a-f]'): RegExp =>
  new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}[0-9a-f]{3}-?${variant}[0-9a-f]{3}-?[0-9a-f]{12}$`, 'i')
const uuidPattern = uuid('[0-9a-f]')
const uuid3Pattern = uuid('3')
const uuid4Pattern = uuid('4', '[89ab]')
const uuid5Pattern = uuid('5', '[89ab]')
const cardPattern =
  /^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$/
const rgbPart = '(?:[01]?[0-9]?[0-9]|2[0-4][0-9]|25[0-5])'
const rgbPattern = new RegExp(`^rgb\\(\\s*${rgbPart}\\s*,\\s*${rgbPart}\\s*,\\s*${rgbPart}\\s*\\)$`)
const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/
const macPattern = /^(?:[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){2}[0-9a-fA-F]{4})$/
const longMacPattern =
  /^(?:[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){6}(?:[0-9a-fA-F]{2}\1){0,12}[0-9a-fA-F]{2}|(?:[0-9a-fA-F]{4}\.){3}(?:(?:[0-9a-fA-F]{4}\.){6})?[0-9a-fA-F]{4})$/
const goDuration = /^[-+]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/
const labelPart = /^[\p{S}\p{L}a-zA-Z0-9](?:[\p{S}\p{L}a-zA-Z0-9-]{0,61}[\p{S}\p{L}a-zA-Z0-9])?$/u
const shortName = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/

const checks: Readonly<Record<string, (text: string) => boolean>> = {
  bsonobjectid: (text) => /^[0-9a-fA-F]{24}$/.test(text),
  uri: isRequestUri,
  email: isEmail,
  hostname: isHostname,
  ipv4: (text) => text.includes('.') && ipOf(text) !== undefined,
  ipv6: (text) => text.includes(':') && ipOf(text) !== undefined,
  cidr: isCidr,
  mac: (text) => macPattern.test(text) || longMacPattern.test(text),
  uuid: (text) => uuidPattern.test(text),
  uuid3: (text) => uuid3Pattern.test(text),
  uuid4: (text) => uuid4Pattern.test(text),
  uuid5: (text) => uuid5Pattern.test(text),
  isbn: (text) => isIsbn10(text) || isIsbn13(text),
  isbn10: isIsbn10,
  isbn13: isIsbn13,
  creditcard: isCreditCard,
  ssn: (text) => /^\d{3}[- ]?\d{2}[- ]?\d{4}$/.test(text),
  hexcolor: (text) => /^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$/.test(text),
  rgbcolor: (text) => rgbPattern.test(text),
  byte: (text) => text.length % 4 === 0 && base64Pattern.test(text),
  password: () => true,
  date: isDate,
  duration: isDuration,
  datetime: isDateTime,
  k8sshortname: (text) => text.length <= 63 && shortName.test(text),
  k8slongname: (text) => text.length <= 253 && text.split('.').every((part) => shortName.test(part)),
}

/** Whether strings may have this format; others are ignored, with a warning when the definition is written. */
export function isKnownFormat(format: string): boolean {
  return Object.hasOwn(checks, format.replaceAll('-', ''))
}

/** Whether `text` has the format; true for a format that is not known. */
export function hasFormat(format: string, text: string): boolean {
  const name = format.replaceAll('-', '')
  return !Object.hasOwn(checks, name) || checks[name]?.(text) === true
}

/** The format that counts for a schema of one type: empty where upstream ignores it. */
export function effectiveFormat(type: string | undefined, format: string | undefined): string {
  if (format === undefined || format === '') return ''
  switch (type) {
    case undefined:
    case '':
    case 'string':
      return isKnownFormat(format) ? format : ''
    case 'integer':
      return format === 'int32' || format === 'int64' ? format : ''
    case 'number':
      return format === 'float' || format === 'double' ? format : ''
    default:
      return ''
  }
}

function ipOf(text: string): string | undefined {
  // Leading zeros are tolerated in IPv4 addresses, as by Go before 1.17; zones are not.
  const plain = /^\d+(\.\d+){3}$/.test(text) ? text.split('.').map(Number).join('.') : text
  if (text.includes('%')) return undefined
  return ipaddr.IPv4.isValidFourPartDecimal(plain) || ipaddr.IPv6.isValid(plain) ? plain : undefined
}

function isCidr(text: string): boolean {
  const [address = '', length = '', ...rest] = text.split('/')
  const ip = ipOf(address)
  if (ip === undefined || rest.length > 0 || !/^\d+$/.test(length)) return false
  return Number(length) <= (address.includes(':') ? 128 : 32)
}

function isRequestUri(text: string): boolean {
  if (text === '' || text.includes(' ')) return false
  if (text.startsWith('/')) return !/%(?![0-9a-fA-F]{2})/.test(text)
  return /^[a-zA-Z][a-zA-Z0-9+.-]*:/.test(text) && (URL.canParse(text) || !text.includes('://'))
}

/** An address as a mail header has it: bare, or in angle brackets behind a name. */
function isEmail(text: string): boolean {
  const bracketed = /^[^<>]*<([^<>]+)>$/.exec(text.trim())
  const address = bracketed?.[1] ?? text.trim()
  return (
    /^(?:[^\s@<>()[\]\\,;:"]+(?:\.[^\s@<>()[\]\\,;:"]+)*|"(?:[^"\\]|\\.)*")@(?:[^\s@<>()[\]\\,;:"]+|\[[^\]]*\])$/.test(address) &&
    !address.includes('..')
  )
}

function isHostname(text: string): boolean {
  if (Buffer.byteLength(text) > 255 || text === '') return false
  const parts = text.split('.')
  if (parts.some((part) => Buffer.byteLength(part) > 63 || !labelPart.test(part))) return false
  return parts.length === 1 || /^[a-zA-Z\p{L}]{2,63}$/u.test(parts.at(-1) ?? '')
}

const digitsOf = (text: string): string => text.replaceAll(/[\s-]/g, '')

function isIsbn10(text: string): boolean {
  const digits = digitsOf(text)
  if (!/^\d{9}[\dX]$/.test(digits)) return false
  const sum = Array.from(digits).reduce((total, digit, index) => total + (index + 1) * (digit === 'X' ? 10 : Number(digit)), 0)
  return sum % 11 === 0
}

function isIsbn13(text: string): boolean {
  const digits = digitsOf(text)
  if (!/^\d{13}$/.test(digits)) return false
  return Array.from(digits).reduce((total, digit, index) => total + (index % 2 === 0 ? 1 : 3) * Number(digit), 0) % 10 === 0
}

function isCreditCard(text: string): boolean {
  const digits = text.replaceAll(/\D/g, '')
  if (!cardPattern.test(digits)) return false
  const sum = Array.from(digits)
    .toReversed()
    .reduce((total, digit, index) => {
      const value = index % 2 === 0 ? Number(digit) : Number(digit) * 2
      return total + (value > 9 ? value - 9 : value)
    }, 0)
  return sum % 10 === 0
}

const daysIn = (year: number, month: number): number => new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()

function isDate(text: string): boolean {
  const [, year, month, day] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)?.map(Number) ?? []
  if (year === undefined || month === undefined || day === undefined) return false
  return month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
}

function isDateTime(text: string): boolean {
  const lower = text.toLowerCase()
  const at = lower.indexOf('t')
  if (text.length < 4 || at < 0 || !isDate(lower.slice(0, at))) return false
  const match = /^(\d{2}):(\d{2}):(\d{2})(.\d+)?(z|[+-]\d{2}:\d{2})$/.exec(lower.slice(at + 1))
  if (match === null) return false
  return Number(match[1]) <= 23 && Number(match[2]) <= 59 && Number(match[3]) <= 59
}

/** Go's notation, or numbers with units in words (`2 days`). */
function isDuration(text: string): boolean {
  if (goDuration.test(text)) return true
  const units = ['ns', 'us', 'µs', 'ms', 's', 'm', 'h', 'd', 'w', 'hr', 'wk']
  const prefixes = ['nano', 'micro', 'milli', 'sec', 'min', 'hour', 'day', 'week']
  for (const [, unit = ''] of text.matchAll(/\d+\s*([A-Za-zµ]+)/g)) {
    const lower = unit.toLowerCase()
    if (units.includes(lower) || prefixes.some((prefix) => lower.startsWith(prefix))) return true
  }
  return false
}
