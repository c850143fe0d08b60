import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLab, type Host, type Lab } from '@k3s/hosts'

describe('a lab', () => {
  let lab: Lab
  let a: Host
  let b: Host
  beforeAll(async () => {
    lab = await createLab({ id: 'test' })
    a = await lab.addHost('a')
    b = await lab.addHost('b')
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  it('has hosts with names, files and processes of their own', async () => {
    expect((await a.exec('hostname', [])).stdout.trim()).toBe('a')
    await a.exec('sh', ['-c', 'echo hello > /etc/only-here; mkdir -p /var/lib/rancher/x'])
    expect(await readFile(a.path('/etc/only-here'), 'utf8')).toBe('hello\n')
    expect((await b.exec('cat', ['/etc/only-here'])).code).not.toBe(0)
    expect((await b.exec('ls', ['/var/lib/rancher'])).stdout).toBe('')
    expect(Number((await b.exec('sh', ['-c', 'ps -e | wc -l'])).stdout)).toBeLessThan(10)
  })

  it('connects them to each other and to the outside', async () => {
    expect((await a.exec('busybox', ['ping', '-c1', '-W5', b.ip])).code).toBe(0)
    expect((await lab.exec('busybox', ['ping', '-c1', '-W5', a.ip])).code).toBe(0)
  })

  it('reaps orphans', async () => {
    await a.exec('sh', ['-c', '(sleep 0.1 &) ; true'])
    await expect
      .poll(async () => (await a.exec('sh', ['-c', 'ps -eo stat= | grep -c Z || true'])).stdout.trim(), { timeout: 10_000 })
      .toBe('0')
  })

  it('closes a host to connections from others', async () => {
    await b.closeInbound({ openUdpPorts: [8472] })
    expect((await a.exec('busybox', ['ping', '-c1', '-W1', b.ip])).code).not.toBe(0)
    expect((await b.exec('busybox', ['ping', '-c1', '-W5', a.ip])).code).toBe(0)
  })

  it('keeps files over a reboot and ends all processes', async () => {
    const sleeper = a.spawn('sleep', ['1000'], { logFile: '/dev/null' })
    await a.exec('touch', ['/var/lib/rancher/kept'])
    await a.reboot()
    await sleeper.exited
    expect((await a.exec('ls', ['/var/lib/rancher'])).stdout).toContain('kept')
    expect((await a.exec('busybox', ['ping', '-c1', '-W5', lab.gateway])).code).toBe(0)
  })
})
