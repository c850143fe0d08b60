import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadKubeconfig, renderKubeconfig } from './kubeconfig.ts'

describe('renderKubeconfig()', () => {
  it('writes the layout of K3s', () => {
    const text = renderKubeconfig({ server: 'https://127.0.0.1:6443', ca: 'CA', cert: 'CERT', key: 'KEY' })
    expect(text).toBe(`apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://127.0.0.1:6443
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
users:
- name: default
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
`)
  })
})

describe('loadKubeconfig()', () => {
  it('reads what renderKubeconfig() wrote', async () => {
    const text = renderKubeconfig({ server: 'https://127.0.0.1:6443', ca: 'CA', cert: 'CERT', key: 'KEY', token: 't' })
    const expected = { server: 'https://127.0.0.1:6443', ca: 'CA', cert: 'CERT', key: 'KEY', token: 't', insecureSkipTlsVerify: false }
    expect(await loadKubeconfig(text)).toMatchObject(expected)
  })

  it('reads files beside the kubeconfig, and anew for each new connection', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'kubeconfig-'))
    try {
      const path = join(directory, 'config')
      await writeFile(join(directory, 'ca.crt'), 'CA1')
      await writeFile(join(directory, 'token'), 'secret\n')
      await writeFile(
        path,
        `
current-context: b
contexts: [{name: a, context: {cluster: none}}, {name: b, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: 'https://h:1', certificate-authority: ca.crt, tls-server-name: n}}]
users: [{name: u, user: {tokenFile: token}}]`,
      )
      const { ca, reload, token, serverName, cert } = await loadKubeconfig(path)
      expect({ ca, serverName, cert }).toEqual({ ca: 'CA1', serverName: 'n', cert: undefined })
      expect(typeof token === 'function' && (await token())).toBe('secret')
      await writeFile(join(directory, 'ca.crt'), 'CA2')
      expect(await reload?.()).toMatchObject({ ca: 'CA2' })
      await expect(loadKubeconfig(path, 'a')).rejects.toThrow('no cluster "none"')
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  it.each([
    ['user: {exec: {}}', 'user field "exec" is not supported'],
    ['user: {auth-provider: {}}', 'user field "auth-provider" is not supported'],
  ])('refuses %s', async (user, message) => {
    const text = `
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: 'https://h'}}]
users: [{name: a, ${user}}]`
    await expect(loadKubeconfig(text)).rejects.toThrow(message)
  })
})
