import { existsSync, readdirSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { busybox, startCluster, until, type Cluster, type Member } from './src/cluster.ts'
import { end, eventually, identityOf, programPid, waitForLog } from './src/program.ts'

const pod = (name: string, node: string): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: web}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 1
  containers:
  - {name: web, image: "${busybox}", command: [sh, -c, "echo ${name} speaks; exec httpd -f -p 8080 -h /www"]}
---`

const service = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30080}]}
`

const agentDir = '/var/lib/rancher/k3s/agent'

describe('a second node behind a firewall that drops every inbound TCP connection', () => {
  let cluster: Cluster
  let edge: Member

  const get = async (pod: string, url: string): Promise<string> =>
    (await cluster.kubectl(`exec ${pod} -- timeout 3 wget -qO- ${url}`)).trim()
  const field = (object: string, path: string): Promise<string> => cluster.kubectl(`get ${object} -o jsonpath='{${path}}'`)
  const identity = async (name: string): Promise<ReturnType<typeof identityOf>> =>
    identityOf(await cluster.kubectl(`get pod ${name} -o json`))
  /** Asks cluster DNS from inside a pod's network on the edge host, without the API server. */
  const resolveOnEdge = (name: string): Promise<string> =>
    edge.host
      .exec('sh', [
        '-c',
        `for ns in /run/netns/cni-*; do nsenter --net=$ns timeout 3 busybox nslookup ${name} 10.43.0.10 && exit; done; exit 1`,
      ])
      .then(({ code, stdout, stderr }) => {
        if (code !== 0) throw new Error(stderr)
        return stdout
      })

  beforeAll(async () => {
    cluster = await startCluster('twonodes')
    edge = await cluster.addAgent('edge', { isClosed: true })
    await cluster.waitForNode('edge')
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  it('is Ready with nobody being able to connect to it', async () => {
    expect((await cluster.server.host.exec('busybox', ['ping', '-c1', '-W1', edge.host.ip])).code).not.toBe(0)
    const dial = await cluster.server.host.exec('curl', ['-skm', '1', `https://${edge.host.ip}:10250/healthz`])
    expect(dial).toMatchObject({ code: 28, stdout: '' })
    expect((await edge.host.exec('curl', ['-skm', '5', 'https://127.0.0.1:10250/healthz'])).code).toBe(0)
    expect(await field('node edge', '.spec.podCIDR')).toBe('10.42.1.0/24')
    expect(await field('node edge', '.metadata.annotations.flannel\\.alpha\\.coreos\\.com/public-ip')).toBe(edge.host.ip)
    expect(await field('node edge', '.status.addresses[?(@.type=="InternalIP")].address')).toBe(edge.host.ip)
  })

  it('writes the files that K3s writes', async () => {
    const state = JSON.parse(await readFile(edge.host.path(`${agentDir}/etc/k3s-agent-load-balancer.json`), 'utf8')) as unknown // compared below
    expect(state).toEqual({ ServerURL: `https://${cluster.server.host.ip}:6443`, ServerAddresses: [`${cluster.server.host.ip}:6443`] })
    for (const name of [
      'client-ca.crt',
      'server-ca.crt',
      'client-kubelet.crt',
      'client-kubelet.key',
      'serving-kubelet.crt',
      'client-kube-proxy.crt',
      'client-k3s-controller.crt',
      'kubelet.kubeconfig',
      'kubeproxy.kubeconfig',
      'k3scontroller.kubeconfig',
    ])
      expect(existsSync(edge.host.path(join(agentDir, name))), name).toBe(true)
    expect((await readFile(edge.host.path('/etc/rancher/node/password'), 'utf8')).trim()).toMatch(/^[0-9a-f]{32}$/)
    const hash = Buffer.from(await field('-n kube-system secret edge.node-password.k3s', '.data.hash'), 'base64').toString()
    expect(hash).toMatch(/^\$1:[0-9a-f]{16}:15:8:1:/)
    expect(await field('-n kube-system secret edge.node-password.k3s', '.immutable')).toBe('true')
  })

  it('runs pods that talk to pods on the server and back, each under its own address', async () => {
    await cluster.apply(pod('near', 'server') + pod('far', 'edge') + service)
    await cluster.kubectl('wait --for=condition=Ready pod/near pod/far --timeout=60s')
    const [near, far] = [await identity('near'), await identity('far')]
    expect(near.podIP).toMatch(/^10\.42\.0\./)
    expect(far.podIP).toMatch(/^10\.42\.1\./)
    await eventually('pods talk both ways', async () => {
      expect(await get('far', `http://${near.podIP}:8080/cgi-bin/hello`)).toBe(`near from=[::ffff:${far.podIP}]`)
      expect(await get('near', `http://${far.podIP}:8080/cgi-bin/hello`)).toBe(`far from=[::ffff:${near.podIP}]`)
    })
  })

  it('resolves names and reaches services from both nodes', async () => {
    const clusterIp = await field('service web', '.spec.clusterIP')
    for (const from of ['near', 'far']) {
      expect(await cluster.kubectl(`exec ${from} -- nslookup web.default.svc.cluster.local`)).toContain(`Address: ${clusterIp}`)
      const answered = new Set<string>()
      await eventually(`both pods answer ${from} by the service's name`, async () => {
        answered.add((await get(from, 'http://web/cgi-bin/hello')).split(' ')[0] ?? '')
        expect([...answered].toSorted()).toEqual(['far', 'near'])
      })
      await cluster.kubectl(`exec ${from} -- sh -c 'echo | timeout 3 nc kubernetes.default 443'`)
    }
  })

  it('serves logs, also while they are being written', async () => {
    expect(await cluster.kubectl('logs far')).toBe('far speaks\n')
    await cluster.kubectl(
      `run ticker --image=${busybox} --restart=Never --overrides='{"spec":{"nodeName":"edge","terminationGracePeriodSeconds":0}}' -- sh -c 'for i in 1 2 3; do sleep 0.5; echo tick $i; done'`,
    )
    await cluster.kubectl('wait --for=jsonpath={.status.phase}=Running pod/ticker --timeout=60s')
    expect(await cluster.kubectl('logs -f ticker')).toBe('tick 1\ntick 2\ntick 3\n')
    await cluster.kubectl('delete pod ticker')
  })

  it('runs exec with standard input, exit codes and copies of files', async () => {
    expect(await cluster.kubectl('exec -i far -- cat', { input: 'over the tunnel' })).toBe('over the tunnel')
    expect(await cluster.tryKubectl(`exec far -- sh -c 'echo out; echo err >&2; exit 7'`)).toEqual({
      code: 7,
      stdout: 'out\n',
      stderr: 'err\ncommand terminated with exit code 7\n',
    })
    const big = '/run/big'
    await cluster.server.host.exec('sh', ['-c', `head -c 8000000 /dev/urandom > ${big}`])
    const sum = (await cluster.server.host.exec('sha256sum', [big])).stdout.split(' ')[0] ?? ''
    await cluster.kubectl(`cp ${big} far:/tmp/big`)
    expect(await cluster.kubectl('exec far -- sha256sum /tmp/big')).toContain(sum)
    await cluster.kubectl(`cp far:/tmp/big ${big}.back`)
    expect((await cluster.server.host.exec('sha256sum', [`${big}.back`])).stdout).toContain(sum)
    // The shell stays beside cat: containerd closes the input of a process that closes its output.
    expect(await cluster.kubectl(`exec -i far -- sh -c 'cat > /tmp/copy; sha256sum < /tmp/copy' < ${big}`)).toContain(sum)
  })

  it('forwards ports', async () => {
    const forward = cluster.server.host.spawn(
      'sh',
      ['-c', `exec ${join(import.meta.dirname, '../k3s')} kubectl port-forward pod/far 18080:8080`],
      { logFile: join(cluster.lab.folder, 'forward.log') },
    )
    await eventually('a forwarded port answers', async () => {
      const { stdout } = await cluster.server.host.exec('curl', ['-sm', '5', 'http://127.0.0.1:18080/cgi-bin/hello'])
      expect(stdout).toMatch(/^far from=/)
    })
    const pid = programPid(forward)
    if (pid !== undefined) process.kill(pid, 'SIGTERM')
    await forward.exited
  })

  it('gives statistics, metrics and node logs by the API server', async () => {
    const summary = JSON.parse(await cluster.kubectl('get --raw /api/v1/nodes/edge/proxy/stats/summary')) as {
      node: { nodeName: string }
      pods: { podRef: { name: string } }[]
    } // as kubelets answer
    expect(summary.node.nodeName).toBe('edge')
    expect(summary.pods.map(({ podRef }) => podRef.name)).toContain('far')
    expect(await cluster.kubectl('get --raw /api/v1/nodes/edge/proxy/metrics')).toContain('process_cpu_seconds_total')
    expect(await cluster.kubectl('get --raw /api/v1/nodes/edge/proxy/healthz')).toBe('ok')
  })

  it('is reached from outside by the NodePort of the open node, and stays closed itself', async () => {
    const answered = new Set<string>()
    await eventually('the server’s NodePort reaches both pods', async () => {
      answered.add(
        (await cluster.lab.exec('curl', ['-sm', '3', `http://${cluster.server.host.ip}:30080/cgi-bin/hello`])).stdout.split(' ')[0] ?? '',
      )
      expect([...answered]).toEqual(expect.arrayContaining(['far', 'near']))
    })
    expect((await cluster.lab.exec('curl', ['-sm', '1', `http://${edge.host.ip}:30080/cgi-bin/hello`])).code).toBe(28)
    expect((await edge.host.exec('curl', ['-sm', '3', `http://${edge.host.ip}:30080/cgi-bin/hello`])).stdout).toMatch(/^(near|far) from=/)
  })

  it.each([
    ['SIGTERM', 0],
    ['SIGKILL', 'SIGKILL'],
  ] as const)('ends at %s at once with its pods left running, and comes back without a token', async (signal, exit) => {
    const before = await identity('far')
    const began = performance.now()
    expect(await end(edge, signal)).toBe(exit)
    expect(performance.now() - began).toBeLessThan(30_000)
    expect(await get('near', `http://${before.podIP}:8080/cgi-bin/hello`)).toMatch(/^far /)
    cluster.start(edge, ['agent', '--server', `https://${cluster.server.host.ip}:6443`])
    await eventually('exec works again', async () => {
      expect(await cluster.kubectl('exec far -- hostname')).toBe('far\n')
    })
    await cluster.waitForNode('edge')
    expect(await identity('far')).toEqual(before)
  })

  it('goes on while the server is away: DNS answers, pods run, and it reconnects by itself', async () => {
    const before = await identity('far')
    const clusterIp = await field('service web', '.spec.clusterIP')
    const agentPid = programPid(edge.process)
    expect(await end(cluster.server, 'SIGKILL')).not.toBe(0)
    expect(await resolveOnEdge('web.default.svc.cluster.local')).toContain(`Address: ${clusterIp}`)
    cluster.start(cluster.server)
    await eventually('exec works through a new tunnel', async () => {
      expect(await cluster.kubectl('exec far -- hostname')).toBe('far\n')
    })
    await cluster.kubectl('expose pod far --name=late --port=80 --target-port=8080')
    await eventually('the agent sees what is new', async () => {
      expect(await get('far', 'http://late/cgi-bin/hello')).toMatch(/^(near|far) /)
    })
    expect(programPid(edge.process)).toBe(agentPid)
    expect(await identity('far')).toEqual(before)
  })

  it('becomes NotReady when its host is cut off and is Ready again, its pods running, once it is back', async () => {
    await edge.host.setCable('out')
    await eventually(
      'the node is not ready',
      async () => {
        expect(await field('node edge', '.status.conditions[?(@.type=="Ready")].status')).toBe('Unknown')
        expect(await field('node edge', '.spec.taints[*].key')).toContain('node.kubernetes.io/unreachable')
        expect(await field('pod far', '.status.conditions[?(@.type=="Ready")].status')).toBe('False')
      },
      120_000,
    )
    const refused = await cluster.tryKubectl('logs far --request-timeout=20s')
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/^Error from server/)
    await edge.host.setCable('in')
    await cluster.waitForNode('edge')
    await eventually('exec works again', async () => {
      expect(await cluster.kubectl('exec far -- hostname')).toBe('far\n')
      expect(await field('node edge', '.spec.taints[*].key')).toBe('')
      expect(await field('pod far', '.status.conditions[?(@.type=="Ready")].status')).toBe('True')
    })
    expect(await field('pod far', '.status.containerStatuses[0].restartCount')).toBe('0')
  }, 240_000)

  it('starts its pods again after a power cut', async () => {
    await edge.host.reboot()
    await edge.host.closeInbound({ openUdpPorts: [8472] })
    const from = (await readFile(edge.logFile)).length
    cluster.start(edge, ['agent', '--server', `https://${cluster.server.host.ip}:6443`])
    await waitForLog(edge, 'up and running', from)
    await eventually('the pod runs again', async () => {
      expect(await cluster.kubectl('exec far -- hostname')).toBe('far\n')
      expect(await field('pod far', '.status.containerStatuses[0].restartCount')).toBe('1')
      const { podIP } = await identity('far')
      expect(await get('near', `http://${podIP}:8080/cgi-bin/hello`)).toMatch(/^far /)
    })
  })

  it('loses its password Secret with its Node, and may then join anew under the same name', async () => {
    await end(edge, 'SIGKILL')
    await cluster.kubectl('delete node edge')
    await until('the Secret is gone', async () =>
      (await cluster.tryKubectl('-n kube-system get secret edge.node-password.k3s')).stderr.includes('not found') ? true : undefined,
    )
    // Upstream's controller looks every 20 s and then waits 40 s for the node to come back.
    await until(
      'the pod is gone',
      async () => ((await cluster.tryKubectl('get pod far')).stderr.includes('not found') ? true : undefined),
      120_000,
    )
    await rm(edge.host.path('/etc/rancher/node/password'))
    cluster.start(edge, ['agent', '--server', `https://${cluster.server.host.ip}:6443`, '--token', await cluster.token()])
    await cluster.waitForNode('edge')
    await until('nothing of the old pod is left', async () =>
      readdirSync(edge.host.path('/var/lib/kubelet/pods')).length === 0 ? true : undefined,
    )
    await cluster.apply(pod('far', 'edge'))
    await cluster.kubectl('wait --for=condition=Ready pod/far --timeout=60s')
    expect(await cluster.kubectl('exec far -- hostname')).toBe('far\n')
  }, 240_000)
})
