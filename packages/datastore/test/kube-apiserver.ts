/**
 * Boots a real kube-apiserver on our etcd server and works with it through kubectl. Not a part of `pnpm test`: it needs Go, openssl, some minutes and
 * 3 GB for the first build, which is kept in `~/.cache/k3s-datastore-kube`.
 *
 * Usage: node --conditions=@k3s/source test/kube-apiserver.ts [DSN] [FOLDER_WITH_KUBE_APISERVER_AND_KUBECTL]
 * DSN: default a new SQLite file. Ends with 0 when all holds, 1 when something does not, 3 when it was not run because Go is missing.
 */
import { execFile, execFileSync, spawn } from 'node:child_process'
import { copyFileSync, existsSync, chmodSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { serveEtcd } from '../src/etcd-server/index.ts'
import { openDatastore } from '../src/index.ts'
import { freePort } from './servers/free-port.ts'

const kubernetesVersion = 'v1.36.3'
const stagingVersion = kubernetesVersion.replace('v1.', 'v0.')
const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** Builds the programs from their Go module. Its staging modules are replaced by the published ones, which the module itself does by folders. */
function build(folder: string): void {
  const go = (args: readonly string[], cwd: string): string =>
    execFileSync('go', args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, GOFLAGS: '-mod=mod -buildvcs=false', CGO_ENABLED: '0', GOTOOLCHAIN: 'auto' },
    })
  mkdirSync(folder, { recursive: true })
  const download: unknown = JSON.parse(go(['mod', 'download', '-json', `k8s.io/kubernetes@${kubernetesVersion}`], tmpdir()))
  const module = String(Object(download).Dir)
  const goMod = readFileSync(join(module, 'go.mod'), 'utf8')
  const staging = [...goMod.matchAll(/^\t(k8s\.io\/\S+) => \.\/staging/gm)].map(([, name = '']) => name)
  const required = [...goMod.matchAll(/^require \(\n[^)]*\)/gm)].map(([text]) =>
    text.replaceAll(/^(\tk8s\.io\/\S+) v0\.0\.0(?= |$)/gm, `$1 ${stagingVersion}`),
  )
  const lines = [
    'module kube',
    /^go .*$/m.exec(goMod)?.[0] ?? '',
    /^godebug [^(].*$|^godebug \([^)]*\)/m.exec(goMod)?.[0] ?? '',
    `require k8s.io/kubernetes ${kubernetesVersion}`,
    ...required,
    ...staging.map((name) => `replace ${name} => ${name} ${stagingVersion}`),
  ]
  writeFileSync(join(folder, 'go.mod'), `${lines.join('\n')}\n`)
  copyFileSync(join(module, 'go.sum'), join(folder, 'go.sum'))
  chmodSync(join(folder, 'go.sum'), 0o644)
  const settings: readonly (readonly [string, string])[] = [
    ['gitVersion', kubernetesVersion],
    ['gitMajor', '1'],
    ['gitMinor', '36'],
    ['gitTreeState', 'clean'],
  ]
  const flags = settings.map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`).join(' ')
  for (const program of ['kube-apiserver', 'kubectl']) {
    say(`Building ${program} ${kubernetesVersion}`)
    go(
      ['build', '-p', '2', '-trimpath', '-ldflags', `-s -w ${flags}`, '-o', join(folder, program), `k8s.io/kubernetes/cmd/${program}`],
      folder,
    )
  }
}

function findPrograms(given: string | undefined): string {
  const folder = given ?? join(homedir(), '.cache/k3s-datastore-kube')
  if (['kube-apiserver', 'kubectl'].every((program) => existsSync(join(folder, program)))) return folder
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
  } catch {
    say('NOT RUN: kube-apiserver is not built yet, and building it needs Go, which is not in PATH')
    // A code of its own: neither passed nor failed.
    process.exit(3)
  }
  build(folder)
  return folder
}

/** A CA, and what kube-apiserver and its administrator need of it. */
function makePki(folder: string): void {
  const openssl = (...args: readonly string[]): void =>
    void execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=ca')
  for (const [name, subject, extensions] of [
    ['apiserver', '/CN=kube-apiserver', 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth'],
    ['admin', '/O=system:masters/CN=admin', 'extendedKeyUsage=clientAuth'],
  ] as const) {
    writeFileSync(join(folder, `${name}.ext`), extensions)
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject)
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-out',
      `${name}.crt`,
      '-days',
      '2',
      '-extfile',
      `${name}.ext`,
    )
  }
  openssl('genrsa', '-out', 'sa.key', '2048')
}

const [dsn, given] = process.argv.slice(2)
const programs = findPrograms(given)
const folder = mkdtempSync(join(tmpdir(), 'kube-apiserver-'))
const port = await freePort()
const kubeconfig = join(folder, 'kubeconfig')
makePki(folder)
writeFileSync(
  kubeconfig,
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'it', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority': join(folder, 'ca.crt') } }],
    users: [{ name: 'admin', user: { 'client-certificate': join(folder, 'admin.crt'), 'client-key': join(folder, 'admin.key') } }],
    contexts: [{ name: 'it', context: { cluster: 'it', user: 'admin' } }],
    'current-context': 'it',
  }),
)
const datastore = await openDatastore(dsn ?? `sqlite://${join(folder, 'store.db')}`)
const etcd = await serveEtcd({ datastore, listen: { host: '127.0.0.1', port: 0 } })

const log = join(folder, 'kube-apiserver.log')
const output = openSync(log, 'a')
const file = (name: string): string => join(folder, name)
const apiserver = spawn(
  join(programs, 'kube-apiserver'),
  [
    `--etcd-servers=${etcd.url}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${folder}`,
    '--endpoint-reconciler-type=none',
    `--tls-cert-file=${file('apiserver.crt')}`,
    `--tls-private-key-file=${file('apiserver.key')}`,
    `--client-ca-file=${file('ca.crt')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('sa.key')}`,
    `--service-account-signing-key-file=${file('sa.key')}`,
    '--service-cluster-ip-range=10.43.0.0/16',
    '--authorization-mode=RBAC',
  ],
  { stdio: ['ignore', output, output] },
)
const ended = new Promise<number | null>((resolve) => apiserver.once('exit', resolve))

const kubectl = async (...args: readonly string[]): Promise<string> => {
  const { stdout } = await promisify(execFile)(join(programs, 'kubectl'), [`--kubeconfig=${kubeconfig}`, ...args], {
    timeout: 60_000,
    maxBuffer: 2 ** 26,
  })
  return stdout.trim()
}
let failures = 0
const check = (what: string, isSo: boolean, seen: unknown = ''): void => {
  if (!isSo) failures++
  say(`${isSo ? 'ok    ' : 'FAILED'} ${what}${isSo ? '' : `: ${String(seen)}`}`)
}
async function until(what: string, ask: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 60_000; ; await delay(100)) {
    const isSo = await ask().catch(() => false)
    if (isSo || Date.now() > deadline || apiserver.exitCode !== null) return check(what, isSo)
  }
}

async function work(): Promise<void> {
  await until('it becomes ready', async () => (await kubectl('get', '--raw', '/readyz')) === 'ok')
  if (failures > 0) return
  await until('its namespaces are there', async () => (await kubectl('get', 'namespaces', '-o', 'name')).includes('namespace/kube-system'))
  await kubectl('create', 'namespace', 'demo')
  const watching = spawn(join(programs, 'kubectl'), [
    `--kubeconfig=${kubeconfig}`,
    '-n',
    'demo',
    'get',
    'configmaps',
    '-w',
    '--output-watch-events',
    '--no-headers',
  ])
  let seen = ''
  watching.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()))
  await kubectl('-n', 'demo', 'create', 'configmap', 'first', '--from-literal=a=1')
  await until('a watch tells what is created', async () => /ADDED\s+first/.test(seen))
  for (let index = 0; index < 20; index++) await kubectl('-n', 'demo', 'create', 'configmap', `c${index}`, `--from-literal=a=${index}`)
  await kubectl('-n', 'demo', 'patch', 'configmap', 'first', '-p', '{"data":{"a":"2"}}')
  check('what was patched is read', (await kubectl('-n', 'demo', 'get', 'configmap', 'first', '-o', 'jsonpath={.data.a}')) === '2')
  await kubectl('-n', 'demo', 'delete', 'configmap', 'c0')
  await until('a watch tells what is changed and deleted', async () => /MODIFIED\s+first/.test(seen) && /DELETED\s+c0/.test(seen))
  watching.kill()
  const list = await kubectl('-n', 'demo', 'get', 'configmaps', '-o', 'name', '--chunk-size=7')
  check('a list in pages is whole', list.split('\n').length === 20, list)
  const again = await kubectl('-n', 'demo', 'create', 'configmap', 'first').catch((error: unknown) => String(error))
  check('what is there cannot be created', again.includes('already exists'), again)
  await kubectl('-n', 'demo', 'create', 'deployment', 'web', '--image=none')
  await kubectl('-n', 'demo', 'scale', 'deployment', 'web', '--replicas=3')
  check('a deployment is scaled', (await kubectl('-n', 'demo', 'get', 'deployment', 'web', '-o', 'jsonpath={.spec.replicas}')) === '3')
  await kubectl('-n', 'demo', 'delete', 'configmaps', '--all')
  check('what was deleted is gone', (await kubectl('-n', 'demo', 'get', 'configmaps', '-o', 'name')) === '')
  const metrics = await kubectl('get', '--raw', '/metrics')
  const consistent = [...metrics.matchAll(/^apiserver_watch_cache_consistent_read_total\{fallback="(\w+)".*success="(\w+)"\} (\d+)/gm)]
  const fromCache = consistent.filter(([, fallback, success]) => fallback === 'false' && success === 'true').length
  check(
    'consistent reads come from its cache, which asks for progress',
    fromCache > 0 && fromCache === consistent.length,
    consistent.join(),
  )
  const errors = [...metrics.matchAll(/^etcd_request_errors_total\{operation="(\w+)".*\} [1-9].*/gm)].map(([line]) => line)
  // A create of what is there, and an update of what has changed, are errors to that counter.
  check(
    'no read of the store failed',
    errors.every((line) => !/operation="(get|list|watch)"/.test(line)),
    errors.join(),
  )
}

try {
  await work()
} finally {
  apiserver.kill('SIGTERM')
  await Promise.race([ended, delay(20_000, undefined, { ref: false })])
  apiserver.kill('SIGKILL')
  await etcd[Symbol.asyncDispose]()
  await datastore[Symbol.asyncDispose]()
  const complaints = readFileSync(log, 'utf8').match(/^[EF]\d{4}.*(?:etcd|compacted|revision|storage|watch).*$/gm) ?? []
  check('its log has no error about the store', complaints.length === 0, complaints.slice(0, 5).join('\n'))
  if (failures === 0) rmSync(folder, { recursive: true })
  else say(`Its log is ${join(dirname(log), 'kube-apiserver.log')}`)
}
process.exitCode = failures === 0 ? 0 : 1
