import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { busybox, busyboxNext, startCluster, until, type Cluster } from './src/cluster.ts'

const template = (app: string, command: string, spec = ''): string => `
    metadata: {labels: {app: ${app}}}
    spec: {terminationGracePeriodSeconds: 1, ${spec}
      containers: [{name: main, image: "${busybox}", command: [sh, -c, ${JSON.stringify(command)}]}]}`

const deployment = (name: string, replicas: number): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template: ${template(name, 'sleep 600')}
`

describe('A workload', () => {
  let cluster: Cluster
  const kubectl: Cluster['kubectl'] = (args, options) => cluster.kubectl(args, options)
  const words = async (args: string): Promise<readonly string[]> => (await kubectl(args)).split(/\s+/).filter((word) => word !== '')
  const podsOf = (app: string): Promise<readonly string[]> => words(`get pods -l app=${app} -o jsonpath='{.items[*].metadata.name}'`)

  beforeAll(async () => {
    cluster = await startCluster('work')
    await until('pods are admitted', async () => ((await cluster.tryKubectl('get serviceaccount default')).code === 0 ? true : undefined))
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  test.concurrent('of the kind DaemonSet has one pod on each node, and is updated', async () => {
    await cluster.apply(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: each}
spec:
  selector: {matchLabels: {app: each}}
  template: ${template('each', 'sleep 600')}
`)
    expect(await kubectl('rollout status ds/each --timeout=60s')).toContain('daemon set "each" successfully rolled out')
    expect(await kubectl('get ds each --no-headers')).toMatch(/^each +1 +1 +1 +1 +1 +<none> +\S+\n$/)
    expect(await words("get pods -l app=each -o jsonpath='{.items[*].spec.nodeName}'")).toEqual(['server'])
    await kubectl(`set image ds/each main=${busyboxNext}`)
    await kubectl('rollout status ds/each --timeout=60s')
    expect(await words("get pods -l app=each -o jsonpath='{.items[*].spec.containers[0].image}'")).toEqual([busyboxNext])
    await kubectl('rollout undo ds/each')
    await until('the old image is back', async () =>
      (await kubectl("get pods -l app=each -o jsonpath='{.items[*].spec.containers[0].image}'")) === busybox ? true : undefined,
    )
    await kubectl('delete ds each --timeout=60s')
    await until('its pod is gone', async () => ((await podsOf('each')).length === 0 ? true : undefined))
  })

  test.concurrent('of the kind StatefulSet has pods in order, with names of their own', async () => {
    await cluster.apply(`
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{name: http, port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template: ${template('db', 'exec httpd -f -p 8080 -h /www')}
`)
    expect(await kubectl('rollout status sts/db --timeout=60s')).toContain('roll out complete')
    expect(await podsOf('db')).toEqual(['db-0', 'db-1'])
    const [first, second] = await words("get pods db-0 db-1 -o jsonpath='{.items[*].metadata.creationTimestamp}'")
    expect(Date.parse(second ?? '')).toBeGreaterThanOrEqual(Date.parse(first ?? ''))
    expect(await kubectl('exec db-1 -- hostname -f')).toBe('db-1.db.default.svc.cluster.local\n')
    expect(await kubectl('exec db-0 -- timeout 5 wget -qO- http://db-1.db:8080/cgi-bin/hello')).toMatch(/^db-1 from=/)
    const addresses = await words("get pods -l app=db -o jsonpath='{.items[*].status.podIP}'")
    const answer = await kubectl('exec db-0 -- nslookup -type=a db.default.svc.cluster.local')
    for (const address of addresses) expect(answer).toContain(`Address: ${address}`)
    await kubectl('delete pod db-0 --timeout=60s')
    await kubectl('rollout status sts/db --timeout=60s')
    await kubectl('scale sts/db --replicas=1')
    await until('the last pod is gone first', async () => ((await podsOf('db')).join() === 'db-0' ? true : undefined))
    await kubectl('delete sts db --timeout=60s')
    await until('all are gone', async () => ((await podsOf('db')).length === 0 ? true : undefined))
  })

  test.concurrent('of the kind Job runs to completion, several at a time', async () => {
    await cluster.apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 3
  parallelism: 2
  completionMode: Indexed
  template: ${template('sum', 'echo index $JOB_COMPLETION_INDEX', 'restartPolicy: Never,')}
`)
    expect(await kubectl('wait --for=condition=Complete job/sum --timeout=60s')).toBe('job.batch/sum condition met\n')
    expect(await kubectl('get job sum --no-headers')).toMatch(/^sum +Complete +3\/3 +\d+s +\d+s\n$/)
    const logs = (await kubectl('logs -l job-name=sum --tail=-1')).trim().split('\n').toSorted()
    expect(logs).toEqual(['index 0', 'index 1', 'index 2'])
    expect(await kubectl('describe job sum')).toMatch(/Normal +Completed +\S+ +job-controller +Job completed/)
    await kubectl('delete job sum --timeout=60s')
    await until('its pods are gone', async () => ((await words('get pods -l job-name=sum -o name')).length === 0 ? true : undefined))
  })

  test.concurrent('of the kind Job fails after its retries', async () => {
    await cluster.apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: fail}
spec:
  backoffLimit: 0
  template: ${template('fail', 'exit 2', 'restartPolicy: Never,')}
`)
    await kubectl('wait --for=condition=Failed job/fail --timeout=60s')
    expect(await kubectl('get job fail -o jsonpath=\'{.status.failed} {.status.conditions[?(@.type=="Failed")].reason}\'')).toBe(
      '1 BackoffLimitExceeded',
    )
  })

  test.concurrent('of the kind CronJob starts jobs, also by hand', async () => {
    await kubectl(`create cronjob tick --image=${busybox} --schedule='*/5 * * * *' -- echo tock`)
    expect(await kubectl('get cronjob tick --no-headers')).toMatch(/^tick +\*\/5 \* \* \* \* +<none> +False +0 +<none> +\S+\n$/)
    await kubectl('create job now --from=cronjob/tick')
    await kubectl('wait --for=condition=Complete job/now --timeout=60s')
    expect(await kubectl('logs job/now')).toBe('tock\n')
    const refused = await cluster.tryKubectl(`create cronjob never --image=${busybox} --schedule='61 * * * *'`)
    expect(refused.stderr).toContain('spec.schedule: Invalid value: "61 * * * *"')
  })

  test.concurrent('leaves its pods when it is deleted with --cascade=orphan, and takes them again', async () => {
    await cluster.apply(deployment('kept', 2))
    await kubectl('rollout status deploy/kept --timeout=60s')
    const before = await podsOf('kept')
    await kubectl('delete deploy kept --cascade=orphan')
    await until('the replica set has no owner', async () =>
      (await kubectl("get rs -l app=kept -o jsonpath='{.items[0].metadata.ownerReferences}'")) === '' ? true : undefined,
    )
    await kubectl('delete rs -l app=kept --cascade=orphan')
    expect(await podsOf('kept')).toEqual(before)
    await cluster.apply(deployment('kept', 2))
    await kubectl('rollout status deploy/kept --timeout=60s')
    expect(await podsOf('kept')).toEqual(before)
    await kubectl('delete deploy kept --cascade=foreground --timeout=60s')
    expect(await podsOf('kept')).toEqual([])
  })

  test.concurrent('goes with its namespace', async () => {
    await kubectl('create namespace gone')
    await kubectl('apply -n gone -f -', { input: deployment('inside', 2) })
    await kubectl('rollout status -n gone deploy/inside --timeout=60s')
    await kubectl('create configmap -n gone other --from-literal=a=b')
    expect(await kubectl('delete namespace gone --timeout=60s')).toBe('namespace "gone" deleted\n')
    expect(await kubectl('get all,cm -n gone -o name')).toBe('')
    const refused = await cluster.tryKubectl('create configmap -n gone a')
    expect(refused.stderr).toContain('namespaces "gone" not found')
  })

  test.concurrent('is kept from eviction by its disruption budget', async () => {
    await cluster.apply(`${deployment('guarded', 2)}---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: guarded}
spec: {minAvailable: 2, selector: {matchLabels: {app: guarded}}}
`)
    await kubectl('rollout status deploy/guarded --timeout=60s')
    await until('the budget knows its pods', async () =>
      (await kubectl("get pdb guarded -o jsonpath='{.status.currentHealthy}'")) === '2' ? true : undefined,
    )
    const [pod = ''] = await podsOf('guarded')
    const refused = await cluster.tryKubectl(`create --raw /api/v1/namespaces/default/pods/${pod}/eviction -f -`, {
      input: JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: pod, namespace: 'default' } }),
    })
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain("Cannot evict pod as it would violate the pod's disruption budget.")
    await kubectl('delete pdb guarded')
    await kubectl('delete deploy guarded --timeout=60s')
  })

  test.concurrent('is paused, resumed and restarted', async () => {
    await cluster.apply(deployment('paused', 1))
    await kubectl('rollout status deploy/paused --timeout=60s')
    const [before] = await podsOf('paused')
    await kubectl('rollout pause deploy/paused')
    await kubectl('rollout restart deploy/paused').catch((error: Error) =>
      expect(error.message).toContain("can't restart paused deployment"),
    )
    await kubectl(`set image deploy/paused main=${busyboxNext}`)
    await until('the controller saw it', async () =>
      (await kubectl("get deploy paused -o jsonpath='{.metadata.generation} {.status.observedGeneration}'"))
        .split(' ')
        .every((word, _, all) => word === all[0])
        ? true
        : undefined,
    )
    expect(await podsOf('paused')).toEqual([before])
    await kubectl('rollout resume deploy/paused')
    await kubectl('rollout status deploy/paused --timeout=60s')
    await kubectl('rollout restart deploy/paused')
    await kubectl('rollout status deploy/paused --timeout=60s')
    expect(await kubectl("get deploy paused -o jsonpath='{.metadata.annotations.deployment\\.kubernetes\\.io/revision}'")).toBe('3')
  })

  test.concurrent('behind a Service has several ports, affinity and a fresh endpoint when a pod dies', async () => {
    await cluster.apply(`${deployment('many', 2).replace('sleep 600', 'exec httpd -f -p 8080 -h /www')}---
apiVersion: v1
kind: Service
metadata: {name: many}
spec: {selector: {app: many}, sessionAffinity: ClientIP, ports: [{name: a, port: 80, targetPort: 8080}, {name: b, port: 81, targetPort: 8080}]}
`)
    await kubectl('rollout status deploy/many --timeout=60s')
    const [pod = ''] = await podsOf('many')
    const ask = async (port: number): Promise<string> =>
      (await kubectl(`exec ${pod} -- timeout 5 wget -qO- http://many:${port}/cgi-bin/hello`)).split(' ')[0] ?? ''
    const chosen = await until('the service answers', () => ask(80))
    for (const port of [80, 80, 80, 80]) expect(await ask(port)).toBe(chosen)
    expect(await ask(81)).toMatch(/^many-/)
    const other = (await podsOf('many')).find((name) => name !== pod) ?? ''
    await kubectl(`delete pod ${other} --timeout=60s`)
    await kubectl('rollout status deploy/many --timeout=60s')
    await until('the service answers by living pods only', async () => ((await podsOf('many')).includes(await ask(80)) ? true : undefined))
  })
})
