import { badRequest } from '@k3s/api'

/** A name as `proxy` takes it: `name`, `name:port`, `https:name:port`. */
export interface ProxyName {
  readonly scheme: '' | 'http' | 'https'
  readonly name: string
  /** A number or a port's name; empty for the default. */
  readonly port: string
}

/** Throws BadRequest for anything else. */
export function parseProxyName(text: string, what: 'pod' | 'service' | 'node'): ProxyName {
  const parts = text.split(':')
  const [first = '', second = '', third = ''] = parts
  if (parts.length === 1 && first !== '') return { scheme: '', name: first, port: '' }
  if (parts.length === 2 && first !== '') return { scheme: '', name: first, port: second }
  if (parts.length === 3 && second !== '' && (first === '' || first === 'http' || first === 'https'))
    return { scheme: first, name: second, port: third }
  throw badRequest(`invalid ${what} request ${JSON.stringify(text)}`)
}
