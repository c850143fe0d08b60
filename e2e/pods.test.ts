import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { busybox, startCluster, until, type Cluster } from './src/cluster.ts'

interface ContainerState {
  readonly restartCount: number
  readonly ready: boolean
  readonly state: Readonly<Record<string, { readonly reason?: string; readonly exitCode?: number; readonly message?: string }>>
  readonly lastState: Readonly<Record<string, { readonly reason?: string; readonly exitCode?: number }>>
}

interface PodView {
  readonly metadata: { readonly uid: string; readonly ownerReferences?: readonly { readonly kind: string }[] }
  readonly status: {
    readonly phase: string
    readonly podIP?: string
    readonly reason?: string
    readonly containerStatuses?: readonly ContainerState[]
  }
}

/** A pod of one busybox container; `container` and `spec` are further fields in YAML's flow style. */
const pod = (name: string, command: string, container = '', spec = ''): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}, annotations: {note: "of ${name}"}}
spec: {terminationGracePeriodSeconds: 1, ${spec}
  containers: [{name: main, image: "${busybox}", command: [sh, -c, ${JSON.stringify(command)}], ${container} }]}
`

describe('A pod', () => {
  let cluster: Cluster
  const kubectl: Cluster['kubectl'] = (args, options) => cluster.kubectl(args, options)

  const view = async (name: string): Promise<PodView> => JSON.parse(await kubectl(`get pod ${name} -o json`)) as PodView
  const mainOf = async (name: string): Promise<ContainerState> => {
    const [main] = (await view(name)).status.containerStatuses ?? []
    if (main === undefined) throw new Error(`Pod "${name}" has no container status yet`)
    return main
  }
  const isReady = (name: string): Promise<string> => kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`)
  const ended = (name: string): Promise<string> =>
    until(`pod ${name} ended`, async () => {
      const { phase } = (await view(name)).status
      return phase === 'Succeeded' || phase === 'Failed' ? phase : undefined
    })

  beforeAll(async () => {
    cluster = await startCluster('pods')
    await until('pods are admitted', async () => ((await cluster.tryKubectl('get serviceaccount default')).code === 0 ? true : undefined))
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  test.concurrent('that fails is started again, more slowly each time', async () => {
    await cluster.apply(pod('crash', 'echo run $(date +%s); exit 7'))
    const state = await until('its container restarted twice', async () => {
      const main = await mainOf('crash')
      return main.restartCount >= 2 && main.state['waiting']?.reason === 'CrashLoopBackOff' ? main : undefined
    })
    expect(state.lastState['terminated']).toMatchObject({ exitCode: 7, reason: 'Error' })
    expect(state.state['waiting']?.message).toMatch(/^back-off \d+s restarting failed container=main pod=crash_default\(/)
    expect(await kubectl('get pod crash')).toMatch(/crash +0\/1 +CrashLoopBackOff +\d+ \(\d+s ago\)/)
    expect(await kubectl('logs crash --previous')).toMatch(/^run \d+\n$/)
    expect(await kubectl('describe pod crash')).toMatch(
      /Warning +BackOff +.* +kubelet +(?:spec\.containers\{main\}: )?Back-off restarting failed container main in pod crash_default\(/,
    )
  })

  test.concurrent('that may restart only on failure, or never, ends', async () => {
    await cluster.apply(
      `${pod('good', 'echo bye > /dev/termination-log', '', 'restartPolicy: OnFailure,')}---${pod('bad', 'exit 3', '', 'restartPolicy: Never,')}`,
    )
    expect(await ended('good')).toBe('Succeeded')
    expect((await mainOf('good')).state['terminated']).toMatchObject({ exitCode: 0, reason: 'Completed', message: 'bye\n' })
    expect(await kubectl('get pod good')).toMatch(/good +0\/1 +Completed +0/)
    expect(await ended('bad')).toBe('Failed')
    expect((await mainOf('bad')).state['terminated']).toMatchObject({ exitCode: 3, reason: 'Error' })
    expect(await kubectl('get pod bad')).toMatch(/bad +0\/1 +Error +0/)
  })

  test.concurrent('whose liveness probe fails is restarted', async () => {
    await cluster.apply(
      pod(
        'alive',
        'touch /tmp/ok; sleep 1; rm /tmp/ok; sleep 600',
        'livenessProbe: {exec: {command: [cat, /tmp/ok]}, periodSeconds: 1, failureThreshold: 1}',
      ),
    )
    await until('it restarted', async () => ((await mainOf('alive')).restartCount > 0 ? true : undefined))
    const story = await kubectl('describe pod alive')
    expect(story).toMatch(/Warning +Unhealthy +.*Liveness probe failed: cat: can't open '\/tmp\/ok'/)
    expect(story).toMatch(/Normal +Killing +.*Container main failed liveness probe, will be restarted/)
    expect((await mainOf('alive')).lastState['terminated']?.exitCode).toBe(137)
    await kubectl('delete pod alive --wait=false')
  })

  test.concurrent('whose startup and readiness probes fail is not ready, and gets no traffic', async () => {
    await cluster.apply(
      pod(
        'slow',
        'sleep 600',
        'readinessProbe: {exec: {command: [cat, /tmp/ready]}, periodSeconds: 1}, startupProbe: {exec: {command: [cat, /tmp/started]}, periodSeconds: 1, failureThreshold: 60}',
      ),
    )
    await kubectl('expose pod slow --port=80')
    const slices = (ready: boolean): Promise<string> =>
      kubectl(
        `get endpointslices -l kubernetes.io/service-name=slow -o jsonpath='{.items[*].endpoints[?(@.conditions.ready==${ready})].addresses[0]}'`,
      )
    await until('its address is known as not ready', async () => ((await slices(false)) === '' ? undefined : true))
    await kubectl('exec slow -- touch /tmp/ready /tmp/started')
    await isReady('slow')
    await until('its address is known as ready', async () => ((await slices(true)) === '' ? undefined : true))
    await kubectl('exec slow -- rm /tmp/ready')
    await until('it is not ready again', async () => ((await mainOf('slow')).ready ? undefined : true))
  })

  test.concurrent('is attached to, with input and output', async () => {
    await cluster.apply(
      pod('echo', 'while read line; do echo got $line; done; echo end', 'stdin: true, stdinOnce: true', 'restartPolicy: Never,'),
    )
    await isReady('echo')
    const said = await kubectl('attach -i echo -c main', { input: 'one\ntwo\n' })
    expect(said).toContain('got one\ngot two\n')
    expect(await ended('echo')).toBe('Succeeded')
  })

  test.concurrent('is run, attached and removed by kubectl run --rm', async () => {
    const result = await cluster.tryKubectl(`run once --rm -i --image=${busybox} --restart=Never -- cat`, { input: 'through\n' })
    expect(result.stdout).toContain('through\n')
    expect(result.stdout).toContain('pod "once" deleted')
    expect(result.code).toBe(0)
  })

  test.concurrent('knows itself by downward API, as environment and as files', async () => {
    await cluster.apply(
      pod(
        'self',
        'echo $IP $HOST $NODE $CPU $MEMORY; cat /info/labels /info/name; echo; cat /info/annotations; echo; sleep 600',
        `resources: {requests: {cpu: 100m, memory: 16Mi}, limits: {cpu: 200m, memory: 32Mi}},
         volumeMounts: [{name: info, mountPath: /info}],
         env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}, {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}},
          {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}, {name: CPU, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}},
          {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory}}}]`,
        `volumes: [{name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: name, fieldRef: {fieldPath: metadata.name}},
          {path: annotations, fieldRef: {fieldPath: metadata.annotations}}]}}],`,
      ),
    )
    await isReady('self')
    const { podIP } = (await view('self')).status
    const log = await until('it said it', async () => {
      const text = await kubectl('logs self')
      return text.includes('note=') ? text : undefined
    })
    expect(log).toContain(`${podIP} 172.30.0.11 server 100 ${32 * 1024 * 1024}\napp="self"self\n`)
    expect(log).toContain('note="of self"')
    await kubectl('label pod self more=yes')
    await until('the file follows the label', async () =>
      (await kubectl('exec self -- cat /info/labels')).includes('more="yes"') ? true : undefined,
    )
  })

  test.concurrent('has a token that the API server takes', async () => {
    await cluster.apply(pod('caller', 'sleep 600'))
    await isReady('caller')
    const folder = '/var/run/secrets/kubernetes.io/serviceaccount'
    expect(await kubectl(`exec caller -- cat ${folder}/namespace`)).toBe('default')
    expect(await kubectl(`exec caller -- cat ${folder}/ca.crt`)).toContain('BEGIN CERTIFICATE')
    const token = await kubectl(`exec caller -- cat ${folder}/token`)
    const review = JSON.parse(
      await kubectl('create -f - -o json', {
        input: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: { name: '' }, spec: { token } }),
      }),
    ) as { readonly status: unknown }
    expect(review.status).toMatchObject({
      authenticated: true,
      user: {
        username: 'system:serviceaccount:default:default',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
        extra: { 'authentication.kubernetes.io/pod-name': ['caller'], 'authentication.kubernetes.io/node-name': ['server'] },
      },
    })
    // From the pod's own network, with the pod's own CA file, as a client in it would.
    const { host } = cluster.server
    await writeFile(host.path('/tmp/caller.crt'), await kubectl(`exec caller -- cat ${folder}/ca.crt`))
    const { podIP } = (await view('caller')).status
    const call = await host.exec(
      'sh',
      [
        '-c',
        `for ns in /run/netns/cni-*; do nsenter --net=$ns ip -4 addr | grep -qF '${podIP}/' || continue
       nsenter --net=$ns curl -s --cacert /tmp/caller.crt --resolve kubernetes.default:443:10.43.0.1 -H "Authorization: Bearer $TOKEN" https://kubernetes.default/api/v1/namespaces/default/pods; done`,
      ],
      { env: { TOKEN: token } },
    )
    expect(JSON.parse(call.stdout)).toMatchObject({
      kind: 'Status',
      code: 403,
      message:
        'pods is forbidden: User "system:serviceaccount:default:default" cannot list resource "pods" in API group "" in the namespace "default"',
    })
    await kubectl('create rolebinding see --clusterrole=view --serviceaccount=default:default')
    await until('the role is given', async () => {
      const again = await host.exec('curl', [
        '-sk',
        '-H',
        `Authorization: Bearer ${token}`,
        'https://10.43.0.1/api/v1/namespaces/default/pods?limit=1',
      ])
      return (JSON.parse(again.stdout) as { readonly kind: string }).kind === 'PodList' ? true : undefined
    })
  })

  test.concurrent('mounts memory, a folder of the host, a sub path and projected sources', async () => {
    await kubectl('create configmap parts --from-literal=a=1 --from-literal=b=2')
    const { host } = cluster.server
    await mkdir(host.path('/tmp/shared'), { recursive: true })
    await writeFile(host.path('/tmp/shared/from-host'), 'hi')
    await cluster.apply(
      pod(
        'volumes',
        'echo back > /host/from-pod; mount | grep " /mem "; df -k /mem | tail -1; cat /host/from-host; cat /one; cat /all/x/a /all/b; touch /all/no || echo read-only; sleep 600',
        `volumeMounts: [{name: mem, mountPath: /mem}, {name: host, mountPath: /host}, {name: parts, mountPath: /one, subPath: a}, {name: all, mountPath: /all, readOnly: true}]`,
        `volumes: [{name: mem, emptyDir: {medium: Memory, sizeLimit: 8Mi}}, {name: host, hostPath: {path: /tmp/shared, type: Directory}}, {name: parts, configMap: {name: parts}},
          {name: all, projected: {sources: [{configMap: {name: parts, items: [{key: a, path: x/a}]}}, {configMap: {name: parts, items: [{key: b, path: b}]}}]}}],`,
      ),
    )
    await isReady('volumes')
    const log = await until('it looked at all', async () => {
      const text = await kubectl('logs volumes')
      return text.includes('read-only') ? text : undefined
    })
    expect(log).toMatch(/^tmpfs on \/mem type tmpfs \(rw,/)
    expect(log).toMatch(/tmpfs +8192 /)
    expect(log).toContain('hi112')
    expect(await readFile(host.path('/tmp/shared/from-pod'), 'utf8')).toBe('back\n')
  })

  test.concurrent('that asks for a missing ConfigMap waits, with the reason, until it is there', async () => {
    await cluster.apply(pod('needy', 'sleep 600', 'envFrom: [{configMapRef: {name: later}}]'))
    await until('it says why it waits', async () => {
      const { waiting } = (await mainOf('needy')).state
      return waiting?.reason === 'CreateContainerConfigError' && waiting.message === 'configmap "later" not found' ? true : undefined
    })
    await kubectl('create configmap later --from-literal=K=v')
    await isReady('needy')
    expect(await kubectl('exec needy -- sh -c "echo $K"')).toBe('\n')
    expect(await kubectl("exec needy -- sh -c 'echo $K'")).toBe('v\n')
  })

  test.concurrent('that no node can hold stays Pending, with the reason', async () => {
    await cluster.apply(pod('huge', 'true', 'resources: {requests: {cpu: "1000"}}'))
    await until('the scheduler said why', async () =>
      /Warning +FailedScheduling +.*default-scheduler +0\/1 nodes are available: 1 Insufficient cpu/.test(
        await kubectl('describe pod huge'),
      )
        ? true
        : undefined,
    )
    await kubectl('delete pod huge')
  })

  test.concurrent('above its memory limit is killed for that', async () => {
    await cluster.apply(
      pod('hungry', 'head -c 60000000 /dev/zero | tail | wc -c', 'resources: {limits: {memory: 16Mi}}', 'restartPolicy: Never,'),
    )
    await ended('hungry')
    const [main] = (await view('hungry')).status.containerStatuses ?? []
    expect(main?.state['terminated']).toMatchObject({ reason: 'OOMKilled' })
  })

  test.concurrent('runs its sidecar before and beside it, and its hooks', async () => {
    await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: sidecar}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 5
  volumes: [{name: s, emptyDir: {}}]
  initContainers:
  - {name: helper, image: "${busybox}", restartPolicy: Always, command: [sh, -c, "echo up > /s/helper; sleep 600"], volumeMounts: [{name: s, mountPath: /s}], startupProbe: {exec: {command: [cat, /s/helper]}, periodSeconds: 1}}
  containers:
  - {name: main, image: "${busybox}", command: [sh, -c, "cat /s/helper; until [ -e /s/hook ]; do sleep 0.1; done; cat /s/hook"], volumeMounts: [{name: s, mountPath: /s}], lifecycle: {postStart: {exec: {command: [sh, -c, "echo hooked > /s/hook"]}}}}
`)
    expect(await ended('sidecar')).toBe('Succeeded')
    expect(await kubectl('logs sidecar -c main')).toBe('up\nhooked\n')
  })

  test.concurrent('runs as the user and with the rights that it asks for', async () => {
    await cluster.apply(
      pod(
        'user',
        'id -u; id -g; id -G; grep CapEff /proc/self/status; grep NoNewPrivs /proc/self/status; touch /x 2>/dev/null || echo read-only; hostname; sleep 600',
        'securityContext: {runAsUser: 1000, runAsGroup: 3000, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}',
        'hostname: given, securityContext: {supplementalGroups: [4000]},',
      ),
    )
    await isReady('user')
    const log = await until('it said all', async () => {
      const text = await kubectl('logs user')
      return text.includes('given') ? text : undefined
    })
    expect(log).toMatch(/^1000\n3000\n3000 4000\nCapEff:\t0{16}\nNoNewPrivs:\t1\n/)
    expect(log).toContain('read-only')
  })

  test.concurrent('takes a debug container', async () => {
    await cluster.apply(pod('patient', 'sleep 600'))
    await isReady('patient')
    // Not attached: containerd detaches at the end of our input, whatever the container still has to say.
    await kubectl(`debug patient --image=${busybox} --target=main --profile=general -c doctor -- sh -c 'echo from the doctor; ps'`)
    const seen = await until('the debug container has looked', async () => {
      const text = await kubectl('logs patient -c doctor')
      return text.includes('ps') ? text : undefined
    })
    expect(seen).toContain('from the doctor')
    expect(seen).toContain('sleep 600')
  })

  test.concurrent('of a file on the node runs without the API server having made it', async () => {
    const { host } = cluster.server
    const file = host.path('/var/lib/rancher/k3s/agent/pod-manifests/fixed.yaml')
    await writeFile(file, pod('fixed', 'echo static; sleep 600'))
    await until('its mirror is there and ready', async () => ((await mainOf('fixed-server')).ready ? true : undefined))
    expect((await view('fixed-server')).metadata.ownerReferences).toMatchObject([{ kind: 'Node', name: 'server' }])
    expect(await kubectl('logs fixed-server')).toBe('static\n')
    const { uid } = (await view('fixed-server')).metadata
    // kubectl may look only when the next one is there already, and would wait for that one's end.
    await kubectl('delete pod fixed-server --now --wait=false')
    await until('its mirror is made again', async () => ((await view('fixed-server')).metadata.uid === uid ? undefined : true))
    await rm(file)
    await until('it is gone', async () =>
      (await cluster.tryKubectl('get pod fixed-server')).stderr.includes('NotFound') ? true : undefined,
    )
  })

  test.concurrent('is measured: the summary of its node names it', async () => {
    await cluster.apply(pod('busy', 'while :; do :; done & sleep 600'))
    await isReady('busy')
    interface Summary {
      readonly node: { readonly nodeName: string; readonly memory: { readonly workingSetBytes: number } }
      readonly pods: readonly {
        readonly podRef: { readonly name: string }
        readonly cpu?: { readonly usageNanoCores?: number }
        readonly memory?: { readonly workingSetBytes: number }
      }[]
    }
    const summary = await until('its use is measured', async () => {
      const found = JSON.parse(await kubectl('get --raw /api/v1/nodes/server/proxy/stats/summary')) as Summary
      const busy = found.pods.find(({ podRef }) => podRef.name === 'busy')
      return (busy?.cpu?.usageNanoCores ?? 0) > 0 && (busy?.memory?.workingSetBytes ?? 0) > 0 ? found : undefined
    })
    expect(summary.node).toMatchObject({ nodeName: 'server' })
    expect(summary.node.memory.workingSetBytes).toBeGreaterThan(1e6)
    expect(await kubectl('get --raw /api/v1/nodes/server/proxy/healthz')).toBe('ok')
    await kubectl('delete pod busy --now')
  })

  test.concurrent('is stopped by its signal within its grace, or killed after it', async () => {
    await cluster.apply(
      `${pod('polite', 'trap "echo term; exit 0" TERM; while :; do sleep 0.1; done').replace('Seconds: 1,', 'Seconds: 30,')}---${pod('deaf', 'trap "" TERM; while :; do sleep 0.1; done')}`,
    )
    await isReady('polite')
    await isReady('deaf')
    const followed = kubectl('logs -f polite')
    const began = performance.now()
    await kubectl('delete pod polite deaf --timeout=60s')
    expect(performance.now() - began).toBeLessThan(20_000)
    expect(await followed).toBe('term\n')
  })
})
