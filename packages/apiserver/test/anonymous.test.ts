import { expect, it } from 'vitest'
import { startServer } from './start-server.ts'

it('requests without credentials go where they may', async () => {
  const allow = [{ name: 'AlwaysAllow', authorize: () => ({ decision: 'allow', reason: '' }) as const }]
  const status = async (url: string, allowAnonymous: boolean | { readonly paths: readonly string[] }): Promise<number> => {
    const { server } = await startServer({ authorizers: allow, allowAnonymous })
    return (await server.inject({ method: 'GET', url })).statusCode
  }
  expect(await status('/version', true)).toBe(200)
  expect(await status('/version', false)).toBe(401)
  expect(await status('/livez?verbose', { paths: ['/livez'] })).toBe(200)
  expect(await status('/livez/ping', { paths: ['/livez'] })).toBe(401)
})
