import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { busybox, busyboxNext, program, startCluster, until, type Cluster } from './src/cluster.ts'

const webManifest = (greeting = 'hello'): string => `
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {greeting: ${greeting}, page.html: "from the config map"}
---
apiVersion: v1
kind: Secret
metadata: {name: web}
stringData: {password: s3cret}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      initContainers:
      - name: prepare
        image: ${busybox}
        command: [sh, -c, "cp -r /www /site/www && cp /etc/web/page.html /site/www/index.html && echo prepared"]
        volumeMounts: [{name: site, mountPath: /site}, {name: config, mountPath: /etc/web}]
      containers:
      - name: web
        image: ${busybox}
        command: [sh, -c, "echo $(GREETING) from $(POD); exec httpd -f -v -p 8080 -h /site/www"]
        env:
        - {name: GREETING, valueFrom: {configMapKeyRef: {name: web, key: greeting}}}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: web, key: password}}}
        - {name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
        resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
        volumeMounts:
        - {name: site, mountPath: /site}
        - {name: config, mountPath: /etc/web}
        - {name: secret, mountPath: /etc/secret, readOnly: true}
      volumes:
      - {name: site, emptyDir: {}}
      - {name: config, configMap: {name: web}}
      - {name: secret, secret: {secretName: web, defaultMode: 256}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http, nodePort: 30080}]}
`

const clientManifest = `
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: "${busybox}", command: [sleep, "3600"]}]
`

describe('A Deployment behind a Service', () => {
  let cluster: Cluster
  const kubectl: Cluster['kubectl'] = (args, options) => cluster.kubectl(args, options)
  const tryKubectl: Cluster['tryKubectl'] = (args, options) => cluster.tryKubectl(args, options)

  /** Names of the pods that serve, oldest revision's leftovers excluded. */
  async function podNames(): Promise<readonly string[]> {
    const text = await kubectl(`get pods -l app=web -o jsonpath='{range .items[?(@.status.phase=="Running")]}{.metadata.name}{"\\n"}{end}'`)
    return text.split('\n').filter((name) => name !== '')
  }
  async function firstPod(): Promise<string> {
    const [name] = await podNames()
    if (name === undefined) throw new Error('No pod runs')
    return name
  }
  const inClient = async (command: string): Promise<string> => (await kubectl(`exec client -- ${command}`)).trim()

  beforeAll(async () => {
    cluster = await startCluster('one')
    await cluster.apply(clientManifest)
    await kubectl(`create cronjob tick --image=${busybox} --schedule='* * * * *' -- echo tock`)
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  test('apply creates its objects, and changes nothing the second time', async () => {
    expect(await cluster.apply(webManifest())).toBe(
      'configmap/web created\nsecret/web created\ndeployment.apps/web created\nservice/web created\n',
    )
    expect(await cluster.apply(webManifest())).toBe(
      'configmap/web unchanged\nsecret/web configured\ndeployment.apps/web unchanged\nservice/web unchanged\n',
    )
  })

  test('rollout status ends when all replicas are available', async () => {
    const status = await kubectl('rollout status deployment/web --timeout=60s')
    expect(status).toContain('deployment "web" successfully rolled out')
    expect(await podNames()).toHaveLength(3)
  })

  test('wait ends with the condition', async () => {
    expect(await kubectl('wait --for=condition=Available deployment/web --timeout=30s')).toBe('deployment.apps/web condition met\n')
    await kubectl('wait --for=condition=Ready pod/client --timeout=30s')
    expect(await kubectl("wait --for=jsonpath='{.status.readyReplicas}'=3 deployment/web --timeout=30s")).toContain('condition met')
    const late = await tryKubectl('wait --for=condition=Nonsense deployment/web --timeout=1s')
    expect(late.code).toBe(1)
    expect(late.stderr).toContain('timed out waiting for the condition on deployments/web')
  })

  test('get prints tables, yaml, json, jsonpath and columns of choice', async () => {
    const [header = '', row = ''] = (await kubectl('get deployment web -o wide')).split('\n')
    expect(header.split(/ {2,}/).map((cell) => cell.trim())).toEqual([
      'NAME',
      'READY',
      'UP-TO-DATE',
      'AVAILABLE',
      'AGE',
      'CONTAINERS',
      'IMAGES',
      'SELECTOR',
    ])
    expect(row.split(/ +/)).toEqual(['web', '3/3', '3', '3', expect.stringMatching(/^\d+m?\d*s?$/), 'web', busybox, 'app=web'])
    const pods = (await kubectl('get pods -l app=web -o wide')).trim().split('\n')
    expect(pods).toHaveLength(4)
    expect(pods[0]).toMatch(/^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES *$/)
    expect(pods[1]).toMatch(/^web-[a-z0-9]+-[a-z0-9]{5} +1\/1 +Running +0 +\S+ +10\.42\.0\.\d+ +server +<none> +<none> *$/)
    const deployment = JSON.parse(await kubectl('get deployment web -o json')) as Record<string, unknown>
    expect(deployment).toMatchObject({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web', namespace: 'default', generation: 1, annotations: { 'deployment.kubernetes.io/revision': '1' } },
      status: { replicas: 3, readyReplicas: 3, availableReplicas: 3, updatedReplicas: 3, observedGeneration: 1 },
    })
    const yaml = await kubectl('get deployment web -o yaml')
    expect(yaml).toMatch(/^apiVersion: apps\/v1\nkind: Deployment\n/)
    expect(yaml).toContain('terminationMessagePath: /dev/termination-log')
    expect(yaml).not.toContain('managedFields')
    expect(await kubectl('get deployment web -o yaml --show-managed-fields')).toContain('manager: kubectl-client-side-apply')
    expect(await kubectl("get svc web -o jsonpath='{.spec.ports[0].nodePort} {.spec.type}'")).toBe('30080 NodePort')
    expect(await kubectl('get configmap web -o custom-columns=N:.metadata.name,G:.data.greeting --no-headers')).toMatch(/^web +hello\n$/)
    expect(await kubectl('get all -o name')).toContain('deployment.apps/web\n')
    expect(await kubectl('get pods -A --sort-by=.metadata.name -o name')).toContain('pod/client')
  })

  test('describe tells the story of a deployment, a pod, a service and the node', async () => {
    const deployment = await kubectl('describe deployment web')
    expect(deployment).toMatch(/Replicas: +3 desired \| 3 updated \| 3 total \| 3 available \| 0 unavailable/)
    expect(deployment).toMatch(/Normal +ScalingReplicaSet +\S+ +deployment-controller +Scaled up replica set web-\w+ from 0 to 3/)
    const pod = await kubectl(`describe pod ${await firstPod()}`)
    expect(pod).toMatch(/Normal +Scheduled +\S+ +default-scheduler +Successfully assigned default\/web-\S+ to server/)
    expect(pod).toMatch(/Normal +Pulled +\S+ +kubelet +.*already present on machine/)
    expect(pod).toMatch(/Normal +Started +\S+ +kubelet/)
    expect(pod).toMatch(/GREETING: +<set to the key 'greeting' of config map 'web'> +Optional: false/)
    expect(pod).toMatch(/Reason: +Completed\n +Exit Code: +0/)
    expect(pod).toMatch(/QoS Class: +Burstable/)
    const service = await kubectl('describe service web')
    expect(service).toMatch(/Endpoints: +10\.42\.0\.\d+:8080,10\.42\.0\.\d+:8080,10\.42\.0\.\d+:8080/)
    const node = await kubectl('describe node server')
    expect(node).toMatch(/Roles: +control-plane/)
    expect(node).toMatch(/default +web-\S+ +10m \(\d+%\)/)
    expect(node).toContain('Allocated resources:')
  })

  test('the containers see their configuration', async () => {
    const pod = await firstPod()
    expect(await kubectl(`exec ${pod} -- sh -c 'echo $GREETING $PASSWORD $POD'`)).toBe(`hello s3cret ${pod}\n`)
    expect(await kubectl(`exec deploy/web -c web -- cat /etc/web/page.html /site/www/index.html /etc/secret/password`)).toBe(
      'from the config mapfrom the config maps3cret',
    )
    expect(await kubectl(`exec ${pod} -- stat -L -c %a /etc/secret/password`)).toBe('400\n')
    expect(await kubectl(`exec ${pod} -- sh -c 'echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT'`)).toBe('10.43.0.1:443\n')
  })

  test('logs prints what containers said, by pod, by label and of init containers', async () => {
    const pod = await firstPod()
    expect(await kubectl(`logs ${pod}`)).toContain(`hello from ${pod}\n`)
    expect(await kubectl(`logs ${pod} -c prepare`)).toBe('prepared\n')
    expect(await kubectl(`logs ${pod} --timestamps --tail=1`)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z /)
    const all = await kubectl('logs -l app=web --prefix --tail=-1')
    for (const name of await podNames()) expect(all).toContain(`[pod/${name}/web] hello from ${name}`)
  })

  test('logs -f goes on until the container ends', async () => {
    await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  restartPolicy: Never
  containers: [{name: talker, image: "${busybox}", command: [sh, -c, "echo first; until [ -e /tmp/go ]; do sleep 0.1; done; echo last"]}]
`)
    await kubectl('wait --for=condition=Ready pod/talker --timeout=30s')
    const followed = kubectl('logs -f talker')
    await kubectl('exec talker -- touch /tmp/go')
    expect(await followed).toBe('first\nlast\n')
    await kubectl('delete pod talker')
  })

  test('exec passes input, output, errors and exit codes', async () => {
    expect(await kubectl('exec -i client -- sh -c "wc -c; echo done"', { input: 'x'.repeat(200_000) })).toBe('200000\ndone\n')
    const failed = await tryKubectl(`exec client -- sh -c 'echo out; echo err >&2; exit 42'`)
    expect(failed).toMatchObject({ code: 42, stdout: 'out\n' })
    expect(failed.stderr).toBe('err\ncommand terminated with exit code 42\n')
    const missing = await tryKubectl('exec client -- no-such-program')
    expect(missing.code).not.toBe(0)
    expect(missing.stderr).toMatch(/"no-such-program": executable file not found in \$PATH/)
    const big = await kubectl('exec client -- sh -c "yes | head -c 3000000 | md5sum; yes | head -c 3000000"')
    expect(big).toHaveLength(3_000_000 + 'd41d8cd98f00b204e9800998ecf8427e  -\n'.length)
  })

  test("exec -t gives a terminal of the client's size", async () => {
    // The size comes to a process that runs already.
    const script = 'tty; for try in $(seq 100); do [ "$(stty size)" = "33 77" ] && break; sleep 0.1; done; stty size; exit 3'
    await writeFile(
      cluster.server.host.path('/tmp/script'),
      `stty cols 77 rows 33; ${program} kubectl exec -it client -- sh -c '${script}'; echo code=$?`,
    )
    const { stdout } = await cluster.server.host.exec('script', ['-qec', 'sh /tmp/script', '/dev/null'])
    expect(stdout).toContain('/dev/pts/0')
    expect(stdout).toContain('33 77')
    expect(stdout).toContain('code=3')
  })

  test('cp copies both ways', async () => {
    const folder = cluster.server.host.path('/tmp')
    const content = 'line\n'.repeat(50_000)
    await writeFile(`${folder}/out.txt`, content)
    await kubectl('cp /tmp/out.txt client:/tmp/in.txt')
    expect(await inClient('sh -c "wc -c < /tmp/in.txt"')).toBe(String(content.length))
    await kubectl('cp client:/tmp/in.txt /tmp/back.txt')
    expect(await readFile(`${folder}/back.txt`, 'utf8')).toBe(content)
    await mkdir(`${folder}/tree/sub`, { recursive: true })
    await writeFile(`${folder}/tree/sub/file`, 'leaf')
    await kubectl('cp /tmp/tree client:/tmp/tree')
    expect(await inClient('cat /tmp/tree/sub/file')).toBe('leaf')
  })

  test('port-forward carries connections to a pod and to a service', async () => {
    const { host } = cluster.server
    const logFile = `${cluster.lab.folder}/forward.log`
    const forward = host.spawn('sh', ['-c', `exec ${program} kubectl port-forward svc/web 18080:80`], { logFile })
    const get = (path: string): Promise<string> =>
      until(
        'the forwarded port answers',
        async () => {
          const { code, stdout } = await host.exec('curl', ['-sf', '-m', '5', `http://127.0.0.1:18080${path}`])
          return code === 0 ? stdout : undefined
        },
        20_000,
      )
    try {
      expect(await get('/')).toBe('from the config map')
      const pages = await Promise.all(Array.from({ length: 5 }, () => get('/cgi-bin/hello')))
      for (const page of pages) expect(page).toMatch(/^web-\S+ from=/)
    } finally {
      forward.kill('SIGTERM')
      await forward.exited
    }
  })

  test('a pod reaches the service by address and by name', async () => {
    const ip = await kubectl("get svc web -o jsonpath='{.spec.clusterIP}'")
    for (const name of [ip, 'web', 'web.default', 'web.default.svc.cluster.local'])
      expect(await inClient(`timeout 5 wget -qO- http://${name}/cgi-bin/hello`)).toMatch(/^web-\S+ from=/)
    const answered = new Set<string>()
    await until('all three pods answer', async () => {
      answered.add((await inClient('timeout 5 wget -qO- http://web/cgi-bin/hello')).split(' ')[0] ?? '')
      return answered.size === 3 ? true : undefined
    })
    expect([...answered].toSorted()).toEqual([...(await podNames())].toSorted())
  })

  test('a client outside reaches the service by the port of the node', async () => {
    const { ip } = cluster.server.host
    const { stdout } = await cluster.lab.exec('curl', ['-sf', '-m', '5', `http://${ip}:30080/cgi-bin/hello`])
    expect(stdout).toMatch(/^web-\S+ from=/)
  })

  test('scale changes replicas and endpoints', async () => {
    expect(await kubectl('scale deployment/web --replicas=5')).toBe('deployment.apps/web scaled\n')
    await kubectl('rollout status deployment/web --timeout=60s')
    const addresses = async (): Promise<readonly string[]> =>
      (
        await kubectl(
          "get endpointslices -l kubernetes.io/service-name=web -o jsonpath='{.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}'",
        )
      )
        .split(' ')
        .filter((address) => address !== '')
    await until('five endpoints are ready', async () => ((await addresses()).length === 5 ? true : undefined))
    const conflict = await tryKubectl('scale deployment/web --current-replicas=1 --replicas=2')
    expect(conflict.code).toBe(1)
    await kubectl('scale deployment/web --replicas=3')
    await until('three endpoints are left', async () => ((await addresses()).length === 3 ? true : undefined))
    await until('three pods are left', async () =>
      (await kubectl('get pods -l app=web -o name')).trim().split('\n').length === 3 ? true : undefined,
    )
  })

  test('set image rolls to the new image, and undo back', async () => {
    const image = (): Promise<string> =>
      kubectl("get pods -l app=web --field-selector=status.phase=Running -o jsonpath='{.items[*].spec.containers[0].image}'")
    expect(await kubectl(`set image deployment/web web=${busyboxNext}`)).toBe('deployment.apps/web image updated\n')
    await kubectl('rollout status deployment/web --timeout=60s')
    await until('only new pods are left', async () =>
      (await image()) === `${busyboxNext} ${busyboxNext} ${busyboxNext}` ? true : undefined,
    )
    expect(await kubectl('rollout history deployment/web')).toMatch(/REVISION +CHANGE-CAUSE\n1 +<none>\n2 +<none>/)
    expect(await kubectl('rollout history deployment/web --revision=2')).toContain(busyboxNext)
    expect(await kubectl('rollout undo deployment/web')).toBe('deployment.apps/web rolled back\n')
    await kubectl('rollout status deployment/web --timeout=60s')
    await until('only old pods are left', async () => ((await image()) === `${busybox} ${busybox} ${busybox}` ? true : undefined))
    const sets = await kubectl('get rs -l app=web --no-headers')
    expect(sets.trim().split('\n')).toHaveLength(2)
  })

  test('an update to an image that does not exist stops, and serves on', async () => {
    await kubectl('set image deployment/web web=test.local/none:1')
    await until('a pod cannot get its image', async () => {
      const reasons = await kubectl("get pods -l app=web -o jsonpath='{.items[*].status.containerStatuses[*].state.waiting.reason}'")
      return /ErrImagePull|ImagePullBackOff/.test(reasons) ? true : undefined
    })
    expect(await kubectl('get pods -l app=web')).toMatch(/0\/1 +(ErrImagePull|ImagePullBackOff)/)
    const late = await tryKubectl('rollout status deployment/web --timeout=1s')
    expect(late.code).toBe(1)
    expect(await kubectl("get deploy web -o jsonpath='{.status.availableReplicas}'")).toBe('3')
    expect(await inClient('timeout 5 wget -qO- http://web/')).toBe('from the config map')
    await kubectl('rollout undo deployment/web')
    await kubectl('rollout status deployment/web --timeout=60s')
  })

  test('label, annotate and edit change metadata and spec', async () => {
    const pod = await firstPod()
    expect(await kubectl(`label pod ${pod} tier=front`)).toBe(`pod/${pod} labeled\n`)
    const refused = await tryKubectl(`label pod ${pod} tier=back`)
    expect(refused.stderr).toContain('already has a value (front), and --overwrite is false')
    await kubectl(`label pod ${pod} tier=back --overwrite`)
    expect(await kubectl('get pods -l tier=back -o name')).toBe(`pod/${pod}\n`)
    expect(await kubectl('get pods -l "tier in (front),app" -o name')).toBe('')
    await kubectl(`label pod ${pod} tier-`)
    expect(await kubectl('get pods -l tier -o name')).toBe('')
    expect(await kubectl('annotate deployment web note="a b"')).toBe('deployment.apps/web annotated\n')
    expect(await kubectl("get deploy web -o jsonpath='{.metadata.annotations.note}'")).toBe('a b')
    const editor = { env: { KUBE_EDITOR: "sed -i 's/minReadySeconds: .*//; s/revisionHistoryLimit: 10/revisionHistoryLimit: 4/'" } }
    expect(await kubectl('edit deployment web', editor)).toBe('deployment.apps/web edited\n')
    expect(await kubectl("get deploy web -o jsonpath='{.spec.revisionHistoryLimit}'")).toBe('4')
    expect((await tryKubectl('edit deployment web', { env: { KUBE_EDITOR: 'true' } })).stderr).toContain('Edit cancelled, no changes made.')
    await kubectl(`patch deployment web --type=json -p '[{"op":"replace","path":"/spec/revisionHistoryLimit","value":6}]'`)
    expect(await kubectl("get deploy web -o jsonpath='{.spec.revisionHistoryLimit}'")).toBe('6')
  })

  test('a pod whose label no longer fits is let go and replaced', async () => {
    const pod = await firstPod()
    await kubectl(`label pod ${pod} app=other --overwrite`)
    await until('another pod took its place', async () => {
      const names = await podNames()
      return names.length === 3 && !names.includes(pod) ? true : undefined
    })
    expect(await kubectl(`get pod ${pod} -o jsonpath='{.metadata.ownerReferences}'`)).toBe('')
    await kubectl(`delete pod ${pod} --now`)
  })

  test('a changed ConfigMap comes to running containers', async () => {
    const pod = await firstPod()
    await cluster.apply(webManifest('changed'))
    await until('the file has the new content', async () =>
      (await kubectl(`exec ${pod} -- cat /etc/web/greeting`)) === 'changed' ? true : undefined,
    )
    expect(await kubectl(`exec ${pod} -- sh -c 'echo $GREETING'`)).toBe('hello\n')
  })

  test('a CronJob has started a job by the minute', async () => {
    const job = await until('a job of it is complete', async () => {
      const name = await kubectl("get jobs -o jsonpath='{.items[?(@.status.succeeded==1)].metadata.name}'")
      return name === '' ? undefined : name.split(' ')[0]
    })
    expect(job).toMatch(/^tick-\d{8}$/)
    expect(await kubectl(`logs job/${job}`)).toBe('tock\n')
    expect(await kubectl("get cronjob tick -o jsonpath='{.status.lastScheduleTime}'")).toMatch(/T\d\d:\d\d:00Z$/)
    await kubectl('delete cronjob tick')
    await until('its jobs are gone', async () =>
      (await kubectl('get jobs,pods -l batch.kubernetes.io/job-name -o name')) === '' ? true : undefined,
    )
  })

  test('drain empties the node and uncordon fills it again', async () => {
    const drained = await kubectl('drain server --ignore-daemonsets --delete-emptydir-data --force --timeout=60s')
    expect(drained).toContain('node/server cordoned')
    expect(drained).toContain('node/server drained')
    expect(await kubectl('get node server --no-headers')).toMatch(/^server +Ready,SchedulingDisabled /)
    expect((await tryKubectl('get pod client')).stderr).toContain('Error from server (NotFound): pods "client" not found')
    await until('its pods wait for a node', async () => {
      const phases = await kubectl("get pods -l app=web -o jsonpath='{.items[*].status.phase}'")
      return phases === 'Pending Pending Pending' ? true : undefined
    })
    await until('the scheduler says why', async () =>
      /FailedScheduling .*0\/1 nodes are available: 1 node\(s\) were unschedulable/.test(
        await kubectl('get events --field-selector=reason=FailedScheduling'),
      )
        ? true
        : undefined,
    )
    await kubectl('uncordon server')
    await kubectl('rollout status deployment/web --timeout=60s')
  })

  test('delete removes the deployment and all that it made', async () => {
    const deleted = await kubectl('delete -f - --timeout=60s', { input: webManifest() })
    expect(deleted.replaceAll(' from default namespace', '')).toBe(
      'configmap "web" deleted\nsecret "web" deleted\ndeployment.apps "web" deleted\nservice "web" deleted\n',
    )
    await until('its pods are gone', async () =>
      (await kubectl('get pods,rs,endpointslices -l app=web -o name')) === '' ? true : undefined,
    )
    await until('its port is closed', async () =>
      (await cluster.lab.exec('curl', ['-s', '-m', '2', `http://${cluster.server.host.ip}:30080/`])).code === 7 ? true : undefined,
    )
  })
})
