import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { renderMasquerade, renderRules, type ServicePortRules } from '@k3s/networking'

/** Feeds rulesets to nft, one transaction each, in a network namespace of their own; throws when one is refused. Gives the last ruleset as nft lists it. */
function load(...texts: readonly string[]): string {
  const script = `${texts.map((text) => `nft -f - <<'RULES'\n${text}RULES\n`).join('[ $? = 0 ] || exit 1\n')}[ $? = 0 ] || exit 1\nnft list ruleset`
  const { status, stdout, stderr } = spawnSync('unshare', ['--net', 'sh', '-s'], { encoding: 'utf8', input: script })
  if (status !== 0) throw new Error(`${stderr}\n${stdout}`)
  return stdout
}

const ports = (count: number, change: Partial<ServicePortRules> = {}): readonly ServicePortRules[] =>
  Array.from({ length: count }, (_, at) => ({
    name: `default/s${at}:http`,
    protocol: 'tcp',
    port: 80,
    clusterIp: `10.43.${Math.floor(at / 250)}.${(at % 250) + 1}`,
    externalIps: [],
    nodePort: undefined,
    internal: [
      { ip: '10.42.0.2', port: 8080, isLocal: true },
      { ip: '10.42.1.2', port: 8080, isLocal: false },
    ],
    external: [{ ip: '10.42.0.2', port: 8080, isLocal: true }],
    isExternalLocal: false,
    affinitySeconds: undefined,
    sourceRanges: [],
    ...change,
  }))

describe('rules in the kernel', () => {
  const options = { family: 'IPv4', clusterCidr: '10.42.0.0/16', ownServiceIps: [] } as const

  it('are accepted in every shape, and each follows on the one before', () => {
    const shapes = [
      ports(3),
      ports(2, { nodePort: 30080, externalIps: ['192.0.2.7'] }),
      ports(1, { nodePort: 30080, isExternalLocal: true, externalIps: ['192.0.2.7'], sourceRanges: ['198.51.100.0/24'] }),
      ports(1, { affinitySeconds: 60, protocol: 'udp' }),
      ports(1, { internal: [], external: [], nodePort: 30080, externalIps: ['192.0.2.7'] }),
      ports(1, { internal: [], external: [], nodePort: 30080, isExternalLocal: true }),
      ports(600),
      [],
    ]
    const texts: string[] = []
    let previous: ReturnType<typeof renderRules> | undefined
    for (const shape of shapes) {
      previous = renderRules(shape, options, previous)
      texts.push(previous.text)
    }
    const listed = load(...texts)
    expect(listed).toContain('table ip k3s-proxy')
    expect(listed).not.toMatch(/chain (svc|ep|ext|loc|fw)-/)
  })

  it('are accepted for IPv6', () => {
    const six = ports(1, {
      clusterIp: 'fd43::7',
      internal: [{ ip: 'fd42::2', port: 8080, isLocal: true }],
      nodePort: 30080,
      external: [{ ip: 'fd42::2', port: 8080, isLocal: true }],
    })
    expect(load(renderRules(six, { family: 'IPv6', clusterCidr: 'fd42::/56', ownServiceIps: [] }).text)).toContain('fd42::2')
  })

  it('masquerade what leaves the cluster', () => {
    expect(load(renderMasquerade('10.42.0.0/16'), renderMasquerade('10.42.0.0/16'))).toContain('masquerade fully-random')
  })
})
