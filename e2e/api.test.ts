import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { busybox, kubectlCommand, startCluster, until, type Cluster } from './src/cluster.ts'

const deployment = (name: string, replicas: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "${busybox}", command: [sleep, "600"]}]
`

describe('kubectl and the API server', () => {
  let cluster: Cluster
  const kubectl: Cluster['kubectl'] = (args, options) => cluster.kubectl(args, options)
  /** What kubectl says to somebody whose wish is refused. */
  async function refusal(args: string, input = ''): Promise<string> {
    const { code, stderr, stdout } = await cluster.tryKubectl(args, { input })
    if (code === 0) throw new Error(`"kubectl ${args}" was not refused: ${stdout}`)
    return stderr
  }

  beforeAll(async () => {
    cluster = await startCluster('api')
    await until('pods are admitted', async () => ((await cluster.tryKubectl('get serviceaccount default')).code === 0 ? true : undefined))
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  test('show the same version and the resources of Kubernetes', async () => {
    const version = JSON.parse(await kubectl('version -o json')) as { readonly serverVersion: Readonly<Record<string, string>> }
    expect(version.serverVersion).toMatchObject({
      major: '1',
      minor: '36',
      gitVersion: expect.stringMatching(/^v1\.36\.\d+\+k3s1$/) as string,
    })
    const resources = await kubectl('api-resources --no-headers')
    for (const line of [
      /^pods +po +v1 +true +Pod$/m,
      /^deployments +deploy +apps\/v1 +true +Deployment$/m,
      /^cronjobs +cj +batch\/v1 +true +CronJob$/m,
      /^endpointslices +discovery.k8s.io\/v1 +true +EndpointSlice$/m,
      /^clusterroles +rbac.authorization.k8s.io\/v1 +false +ClusterRole$/m,
      /^nodes +no +v1 +false +Node$/m,
    ])
      expect(resources).toMatch(line)
    const versions = (await kubectl('api-versions')).split('\n')
    for (const version of ['v1', 'apps/v1', 'batch/v1', 'networking.k8s.io/v1', 'rbac.authorization.k8s.io/v1', 'storage.k8s.io/v1'])
      expect(versions).toContain(version)
    expect(await kubectl('get --raw /readyz')).toBe('ok')
    expect(await kubectl('get --raw "/livez?verbose"')).toContain('[+]ping ok')
    expect(await kubectl('get --raw /metrics')).toMatch(/^apiserver_request_total\{/m)
    expect(await kubectl('cluster-info')).toMatch(/control plane.* is running at .*https:\/\/127\.0\.0\.1:6443/)
  })

  test('explain fields', async () => {
    const text = await kubectl('explain deployment.spec.strategy')
    expect(text).toContain('GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n')
    expect(text).toMatch(/FIELD: strategy <DeploymentStrategy>/)
    expect(text).toMatch(/rollingUpdate\t<RollingUpdateDeployment>/)
    expect(text).toMatch(/enum: Recreate, RollingUpdate/)
    expect(await kubectl('explain pod.spec --recursive')).toMatch(/readinessProbe\t<Probe>/)
    expect(await refusal('explain pod.spec.nonsense')).toContain('field "nonsense" does not exist')
  })

  test('diff what apply would change', async () => {
    const manifest = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: diffed}\ndata: {key: VALUE}\n'
    await cluster.apply(manifest.replace('VALUE', 'one'))
    expect(await cluster.tryKubectl('diff -f -', { input: manifest.replace('VALUE', 'one') })).toMatchObject({ code: 0, stdout: '' })
    const changed = await cluster.tryKubectl('diff -f -', { input: manifest.replace('VALUE', 'two') })
    expect(changed.code).toBe(1)
    expect(changed.stdout).toMatch(/^-  key: one\n\+  key: two$/m)
    expect(await kubectl("get cm diffed -o jsonpath='{.data.key}'")).toBe('one')
  })

  test('apply on the server with owners of fields', async () => {
    const manifest = (replicas: number): string => deployment('owned', replicas)
    expect(await kubectl('apply --server-side --field-manager=first -f -', { input: manifest(0) })).toBe(
      'deployment.apps/owned serverside-applied\n',
    )
    const conflict = await refusal('apply --server-side --field-manager=second -f -', manifest(1))
    expect(conflict).toContain('Apply failed with 1 conflict: conflict with "first": .spec.replicas')
    await kubectl('apply --server-side --field-manager=second --force-conflicts -f -', { input: manifest(1) })
    expect(await kubectl("get deploy owned -o jsonpath='{.spec.replicas}'")).toBe('1')
    const owners = await kubectl(
      "get deploy owned --show-managed-fields -o jsonpath='{range .metadata.managedFields[*]}{.manager}:{.operation} {end}'",
    )
    expect(owners).toContain('first:Apply')
    expect(owners).toContain('second:Apply')
    // What its only owner no longer names goes away.
    const config = (data: string): string => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: owned}\ndata: {${data}}\n`
    await kubectl('apply --server-side -f -', { input: config('a: "1", b: "2"') })
    await kubectl('apply --server-side -f -', { input: config('a: "1"') })
    expect(JSON.parse(await kubectl("get cm owned -o jsonpath='{.data}'"))).toEqual({ a: '1' })
    await kubectl('delete deploy owned')
  })

  test('refuse what is no field, and what is no value', async () => {
    const unknown = await refusal('apply -f -', deployment('bad', 1).replace('replicas:', 'replicaz:'))
    expect(unknown).toBe(
      'Error from server (BadRequest): error when creating "STDIN": Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.replicaz"\n',
    )
    const relaxed = await cluster.tryKubectl('apply --validate=warn --dry-run=server -f -', {
      input: deployment('bad', 1).replace('replicas:', 'replicaz:'),
    })
    expect(relaxed.code).toBe(0)
    expect(relaxed.stderr).toContain('Warning: unknown field "spec.replicaz"')
    expect(await refusal('apply -f -', deployment('bad', 1).replace('replicas: 1', 'replicas: many'))).toMatch(
      /cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec\.spec\.replicas of type int32/,
    )
    expect(await refusal('apply -f -', deployment('Bad_Name', -1))).toBe(
      `The Deployment "Bad_Name" is invalid: \n* metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')\n* spec.replicas: Invalid value: -1: must be greater than or equal to 0\n`,
    )
    expect(await refusal('apply -f -', deployment('bad', 1).replace('labels: {app: bad}', 'labels: {app: other}'))).toContain(
      'spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not match template `labels`',
    )
    expect(await refusal('apply -f -', deployment('bad', 1).replace(`image: "${busybox}", `, ''))).toContain(
      'spec.template.spec.containers[0].image: Required value',
    )
    expect(await refusal('get nonsense')).toBe('error: the server doesn\'t have a resource type "nonsense"\n')
    expect(await refusal('get pod none')).toBe('Error from server (NotFound): pods "none" not found\n')
    expect(await refusal('create namespace default')).toBe('Error from server (AlreadyExists): namespaces "default" already exists\n')
    expect(await refusal('delete namespace default')).toContain('this namespace may not be deleted')
    expect(await refusal('apply -f -', 'apiVersion: v1\nkind: Nonsense\nmetadata: {name: a}\n')).toContain(
      'no matches for kind "Nonsense" in version "v1"',
    )
  })

  test('change nothing in a dry run', async () => {
    const made = await kubectl('apply --dry-run=server -o yaml -f -', { input: deployment('dry', 1) })
    expect(made).toContain('progressDeadlineSeconds: 600')
    expect(made).toMatch(/uid: [0-9a-f-]{36}/)
    expect(await refusal('get deploy dry')).toContain('NotFound')
    expect(await kubectl('create deployment dry --image=x --dry-run=client -o name')).toBe('deployment.apps/dry\n')
    await kubectl('create configmap real --from-literal=a=b')
    expect(await kubectl('delete configmap real --dry-run=server')).toMatch(/^configmap "real" deleted.* \(server dry run\)$/m)
    expect(await kubectl('get configmap real -o name')).toBe('configmap/real\n')
  })

  test('give rights by role, and say what is missing', async () => {
    expect(await kubectl('auth can-i create deployments')).toBe('yes\n')
    const asked = await cluster.tryKubectl('auth can-i create deployments --as=jane')
    expect(asked).toMatchObject({ code: 1, stdout: 'no\n' })
    expect(await refusal('get pods --as=jane')).toBe(
      'Error from server (Forbidden): pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"\n',
    )
    expect(await refusal('get nodes --as=jane')).toBe(
      'Error from server (Forbidden): nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope\n',
    )
    await kubectl('create role reader --verb=get,list --resource=pods,pods/log')
    await kubectl('create rolebinding jane --role=reader --user=jane')
    await until('the role is given', async () => ((await cluster.tryKubectl('get pods --as=jane')).code === 0 ? true : undefined))
    expect((await cluster.tryKubectl('auth can-i delete pods --as=jane')).stdout).toBe('no\n')
    expect(await kubectl('auth can-i list pods --as=jane')).toBe('yes\n')
    expect(await kubectl('auth can-i --list --as=jane')).toMatch(/^pods\/log +\[\] +\[\] +\[get list\]$/m)
    expect(await refusal('get pods -n kube-system --as=jane')).toContain('in the namespace "kube-system"')
    expect(await refusal('delete pod a --as=jane')).toBe(
      'Error from server (Forbidden): pods "a" is forbidden: User "jane" cannot delete resource "pods" in API group "" in the namespace "default"\n',
    )
    // Nobody gives more than they have.
    await kubectl('create role giver --verb=create,get --resource=roles.rbac.authorization.k8s.io')
    await kubectl('create rolebinding giver --role=giver --user=jane')
    await until('she may create roles', async () =>
      (await cluster.tryKubectl('auth can-i create roles --as=jane')).code === 0 ? true : undefined,
    )
    expect(await refusal('create role mighty --verb=delete --resource=secrets --as=jane')).toMatch(
      /is forbidden: user "jane" \(groups=\["system:authenticated"\]\) is attempting to grant RBAC permissions not currently held:\n\{APIGroups:\[""\], Resources:\["secrets"\], Verbs:\["delete"\]\}/,
    )
    expect(await kubectl('auth whoami')).toMatch(/Username +system:admin\nGroups +\[system:masters system:authenticated\]/)
    expect(
      await refusal(
        'auth whoami --token=nonsense --certificate-authority= --insecure-skip-tls-verify --kubeconfig=/dev/null --server=https://127.0.0.1:6443',
      ),
    ).toContain('You must be logged in to the server')
    const token = (await kubectl('create token default --duration=10m')).trim()
    expect(
      await kubectl(`auth whoami --kubeconfig=/dev/null --server=https://127.0.0.1:6443 --insecure-skip-tls-verify --token=${token}`),
    ).toMatch(/Username +system:serviceaccount:default:default/)
  })

  test('keep a namespace within its quota and its limits', async () => {
    await kubectl('create namespace small')
    await kubectl('create quota few -n small --hard=pods=1,requests.cpu=500m,configmaps=3')
    await until('the quota is counted', async () =>
      (await kubectl("get quota few -n small -o jsonpath='{.status.hard.pods}'")) === '1' ? true : undefined,
    )
    expect(await refusal(`run a -n small --image=${busybox}`)).toContain(
      'Error from server (Forbidden): pods "a" is forbidden: failed quota: few: must specify requests.cpu for: a',
    )
    await kubectl('apply -n small -f -', {
      input: `
apiVersion: v1
kind: LimitRange
metadata: {name: sizes}
spec: {limits: [{type: Container, default: {cpu: 200m}, defaultRequest: {cpu: 100m}, max: {cpu: 300m}}]}
`,
    })
    const big = `{"spec":{"containers":[{"name":"b","image":"${busybox}","resources":{"limits":{"cpu":"2"}}}]}}`
    expect(await refusal(`run b -n small --image=${busybox} --overrides='${big}'`)).toBe(
      'Error from server (Forbidden): pods "b" is forbidden: maximum cpu usage per Container is 300m, but limit is 2\n',
    )
    await kubectl(`run a -n small --image=${busybox} -- sleep 600`)
    expect(await kubectl("get pod a -n small -o jsonpath='{.spec.containers[0].resources}'")).toBe(
      '{"limits":{"cpu":"200m"},"requests":{"cpu":"100m"}}',
    )
    expect(await refusal(`run c -n small --image=${busybox}`)).toBe(
      'Error from server (Forbidden): pods "c" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1\n',
    )
    await until('the use is shown', async () => (/pods +1 +1\n/.test(await kubectl('describe quota few -n small')) ? true : undefined))
    await kubectl('delete pod a -n small --now')
    await until('there is room again', async () =>
      (await cluster.tryKubectl(`run c -n small --image=${busybox} -- true`)).code === 0 ? true : undefined,
    )
    await kubectl('delete namespace small --timeout=60s')
  })

  test('keep a namespace to its pod security level', async () => {
    await kubectl('create namespace strict')
    await kubectl('label namespace strict pod-security.kubernetes.io/enforce=restricted')
    expect(await refusal(`run a -n strict --image=${busybox}`)).toMatch(
      /pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false \(container "a" must set securityContext\.allowPrivilegeEscalation=false\)/,
    )
  })

  test('watch, page, select and convert to tables', async () => {
    const { server, lab } = cluster
    const logFile = `${lab.folder}/watch.log`
    const watch = server.host.spawn(
      'sh',
      [
        '-c',
        `export KUBECONFIG=/etc/rancher/k3s/k3s.yaml; exec ${kubectlCommand} get configmaps -w --output-watch-events --no-headers -l watched`,
      ],
      { logFile },
    )
    const log = async (): Promise<string> => (await server.host.exec('cat', [logFile])).stdout
    await kubectl('create namespace other')
    await kubectl('create configmap seen --from-literal=a=b')
    await kubectl('label configmap seen watched=yes')
    await kubectl('patch configmap seen -p \'{"data":{"c":"d"}}\'')
    await kubectl('label configmap seen watched-')
    const lines = await until('the watch showed it come, change and go', async () => {
      const text = await log()
      return text.includes('DELETED') ? text : undefined
    })
    expect(lines).toMatch(/ADDED +seen +1 +\S+\nMODIFIED +seen +2 +\S+\nDELETED +seen +2 +\S+\n/)
    watch.kill('SIGTERM')
    await watch.exited
    await kubectl('create -f -', {
      input: Array.from(
        { length: 25 },
        (_, index) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page-${String(index).padStart(2, '0')}, namespace: other}\n`,
      ).join('---\n'),
    })
    const paged = (await kubectl('get cm -n other -o name --chunk-size=10')).trim().split('\n')
    expect(paged).toHaveLength(26)
    expect(paged.slice(1, 3)).toEqual(['configmap/page-00', 'configmap/page-01'])
    expect(await kubectl('get cm -n other --field-selector=metadata.name=page-07 -o name')).toBe('configmap/page-07\n')
    const first = JSON.parse(await kubectl('get --raw "/api/v1/namespaces/other/configmaps?limit=10"')) as {
      readonly metadata: { readonly continue: string; readonly remainingItemCount: number }
    }
    expect(first.metadata.remainingItemCount).toBe(16)
    expect(await kubectl('delete cm -n other --all')).toContain('configmap "page-24" deleted')
    expect(await refusal('get pods --field-selector=spec.nonsense=1')).toContain('field label not supported: spec.nonsense')
  })

  test('create, expose and autoscale by command, and replace', async () => {
    await kubectl(`create deployment quick --image=${busybox} --replicas=0 -- sleep 600`)
    await kubectl('expose deployment quick --port=80 --target-port=8080 --type=NodePort')
    expect(await kubectl('get svc quick --no-headers')).toMatch(/^quick +NodePort +10\.43\.\d+\.\d+ +<none> +80:3[0-2]\d{3}\/TCP +\S+\n$/)
    await kubectl('autoscale deployment quick --min=1 --max=2 --cpu-percent=50')
    expect(await kubectl('get hpa quick --no-headers')).toMatch(/^quick +Deployment\/quick +/)
    await kubectl('create ingress quick --rule=host/path=quick:80')
    expect(await kubectl('get ingress quick --no-headers')).toMatch(/^quick +<none> +host +80 +\S+\n$/)
    await kubectl('create secret generic quick --from-literal=a=b')
    expect(await kubectl('describe secret quick')).toMatch(/a: +1 bytes/)
    const config = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: put}\ndata: {a: A}\n'
    await kubectl('create -f -', { input: config })
    const old = await kubectl('get cm put -o yaml')
    expect(await kubectl('replace -f -', { input: config.replace(': A', ': B') })).toBe('configmap/put replaced\n')
    expect(await refusal('replace -f -', old)).toMatch(
      /^Error from server \(Conflict\): error when replacing "STDIN": Operation cannot be fulfilled on configmaps "put": the object has been modified; please apply your changes to the latest version and try again\n$/,
    )
    await kubectl('patch cm put -p \'{"immutable":true}\'')
    expect(await refusal('patch cm put -p \'{"data":{"a":"c"}}\'')).toContain('data: Forbidden: field is immutable when `immutable` is set')
  })

  test('show events of the whole cluster', async () => {
    const events = await kubectl('get events -A')
    expect(events).toMatch(/^NAMESPACE +LAST SEEN +TYPE +REASON +OBJECT +MESSAGE$/m)
    expect(events).toMatch(/default +\S+ +Normal +NodeReady +node\/server +Node server status is now: NodeReady/)
    expect(await kubectl('events --types=Normal')).toMatch(/Normal +Starting|Normal +RegisteredNode/)
    expect(await kubectl('get leases -n kube-node-lease -o name')).toBe('lease.coordination.k8s.io/server\n')
  })
})
