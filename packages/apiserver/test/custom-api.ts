import { vi } from 'vitest'
import type { ApiServerOptions } from '../src/index.ts'
import { ask, startHttps, type Answer, type HttpsServer } from './start-https.ts'

export const definitionsPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
export const widgetsPath = '/apis/example.com/v1/namespaces/default/widgets'

interface Overrides {
  readonly schema?: object
  readonly version?: object
  readonly spec?: object
}

/** The definition of Widgets with some parts changed. */
export function widgets({ schema, version = {}, spec = {} }: Overrides = {}): Record<string, unknown> {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget', shortNames: ['wd'], categories: ['all'] },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: schema ?? {
              type: 'object',
              properties: {
                spec: {
                  type: 'object',
                  required: ['size'],
                  properties: {
                    size: { type: 'integer', minimum: 1 },
                    color: { type: 'string', enum: ['red', 'blue'], default: 'red' },
                    tags: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set' },
                  },
                },
                status: { type: 'object', properties: { ready: { type: 'boolean' }, replicas: { type: 'integer' } } },
              },
            },
          },
          ...version,
        },
      ],
      ...spec,
    },
  }
}

/** A Widget. */
export const widget = (name: string, spec: object): object => ({ apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name }, spec })

/** Requests of an administrator. */
export class Api {
  readonly #server: HttpsServer
  constructor(server: HttpsServer) {
    this.#server = server
  }

  send(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const { cert, key } = this.#server.adminCertificate
    const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
    return ask(this.#server, path, { method, cert, key, headers: { 'content-type': contentType, ...headers }, body: text })
  }

  /** Makes a definition and waits until it is established. */
  async define(definition: Record<string, unknown>): Promise<void> {
    const answer = await this.send('POST', definitionsPath, definition)
    if (answer.status !== 201) throw new Error(`the definition was refused: ${answer.text}`)
    const { name } = definition['metadata'] as { name: string } // written above
    await vi.waitUntil(
      async () => {
        const conditions = conditionsOf((await this.send('GET', `${definitionsPath}/${name}`)).json())
        return conditions['Established'] === 'True' && conditions['NamesAccepted'] === 'True'
      },
      { timeout: 10_000 },
    )
  }
}

/** Conditions of a definition by their types. */
export function conditionsOf(object: Record<string, unknown>): Record<string, string> {
  const { status } = object as { status?: { conditions?: { type: string; status: string }[] } } // a definition
  return Object.fromEntries((status?.conditions ?? []).map(({ type, status: value }) => [type, value]))
}

/** A server of its own for a test. */
export async function start(options: Partial<ApiServerOptions> = {}): Promise<Api> {
  return new Api(await startHttps(options))
}
