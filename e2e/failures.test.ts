import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { DatabaseSync } from 'node:sqlite'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Host } from '@k3s/hosts'
import { busybox, program, startCluster, until, type Cluster, type Member } from './src/cluster.ts'
import { complaint, end, eventually, identityOf, programPid, waitForLog } from './src/program.ts'
import { containerdPid } from './src/runtime.ts'

const dataDir = '/var/lib/rancher/k3s'

describe('mistakes and mishaps', () => {
  let cluster: Cluster
  /** A machine where nothing runs for longer than a test. */
  let other: Host
  let url: string
  let token: string

  /** What a start that fails says, and its exit code. */
  const start = (...args: readonly string[]): Promise<readonly [number, string]> =>
    complaint(other, args, 50_000).then(({ code, text }) => [code, text])
  const member = (name: string): Member => ({ host: other, logFile: `${cluster.lab.folder}/${name}.log`, process: cluster.server.process })
  const give = async (file: string, content: string): Promise<void> => {
    await mkdir(dirname(other.path(file)), { recursive: true })
    await writeFile(other.path(file), content)
  }

  beforeAll(async () => {
    cluster = await startCluster('failures')
    other = await cluster.addHost('other')
    url = `https://${cluster.server.host.ip}:6443`
    token = await cluster.token()
  })
  afterAll(() => cluster?.[Symbol.asyncDispose]())

  describe('on the command line', () => {
    it.each<readonly [readonly string[], string]>([
      [['server', '--no-such-flag'], `k3s: Unknown option '--no-such-flag'`],
      [['server', '--data-dri=/x'], `k3s: Unknown option '--data-dri' (Did you mean --data-dir?)`],
      [['srever'], `k3s: Unknown command 'srever' (Did you mean server?)`],
      [['server', 'extra'], `k3s: Too many arguments for 'server'. Expected 0 arguments but got 1: extra.`],
      [['server', '--https-listen-port', 'abc'], 'k3s: Cannot use "abc" for --https-listen-port: an integer is needed'],
      [['server', '--https-listen-port', '70000'], 'k3s: Cannot use 70000 for --https-listen-port: 1 to 65535 is needed'],
      [
        ['server', '--cluster-cidr', '10.42.0.0'],
        'k3s: Cannot use "10.42.0.0" for --cluster-cidr: an IPv4 network such as 10.42.0.0/16 is needed',
      ],
      [
        ['server', '--cluster-dns', '1.2.3.4'],
        'k3s: Cannot use "1.2.3.4" for --cluster-dns: it must be an address of --service-cidr 10.43.0.0/16',
      ],
      [
        ['server', '--disable', 'coffee'],
        'k3s: Cannot use "coffee" for --disable: coredns, servicelb, traefik, local-storage, metrics-server, runtimes can be disabled',
      ],
      [
        ['server', '--node-taint', 'x'],
        'k3s: Cannot use "x" for --node-taint: it must read key=value:NoSchedule|PreferNoSchedule|NoExecute',
      ],
      [
        ['server', '--node-name', 'a_b'],
        'k3s: Cannot use "a_b" as node name: lower-case letters, digits, "-" and "." are allowed; give another one with --node-name',
      ],
      [['agent'], 'k3s: --server is required: the URL of a server, such as https://192.0.2.1:6443'],
      [
        ['agent', '--server', 'https://192.0.2.1:6443'],
        'k3s: --token is required: the content of the file server/node-token in the server’s data directory',
      ],
      [
        ['agent', '--server', 'https://192.0.2.1:6443', '--token-file', '/none'],
        'k3s: Cannot read the token from "/none": the file does not exist or is empty',
      ],
      [
        ['agent', '--server', 'http://192.0.2.1:6443', '--token', 'x'],
        'k3s: Cannot join "http://192.0.2.1:6443": only https URLs are supported, such as https://192.0.2.1:6443',
      ],
      [
        ['agent', '--server', 'server', '--token', 'x'],
        'k3s: Cannot join "server": only https URLs are supported, such as https://192.0.2.1:6443',
      ],
      [
        ['agent', '--server', 'https://192.0.2.1:6443', '--token', 'K10abc::node:x'],
        'k3s: Cannot use token: "K10" must be followed by 64 hexadecimal digits and "::"',
      ],
    ])('%j is refused in one sentence', async (args, sentence) => {
      expect(await start(...args)).toEqual([2, sentence])
    })

    it('helps and names its version without doing anything', async () => {
      const help = await other.exec(program, ['server', '--help'])
      expect(help).toMatchObject({ code: 0, stderr: '' })
      expect(help.stdout).toContain('--datastore-endpoint')
      expect((await other.exec(program, ['--version'])).stdout).toMatch(/^k3s version v1\.36\./)
    })
  })

  describe('in the configuration file', () => {
    const file = '/etc/rancher/k3s/config.yaml'
    afterAll(() => rm(other.path(file), { force: true }))

    it.each([
      [
        'a: [',
        `Cannot read configuration file "${file}": Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 5`,
      ],
      ['- a\n- b\n', `Cannot read configuration file "${file}": it must be a mapping of flag names to values`],
      [
        'node-label: {a: b}\n',
        `Cannot read configuration file "${file}": the value of "node-label" must be a text, number, boolean or a list of these`,
      ],
      ['https-listen-port: many\n', 'Cannot use "many" for --https-listen-port: an integer is needed'],
    ])('%j is refused in one sentence', async (content, sentence) => {
      await give(file, content)
      expect(await start('server')).toEqual([2, `k3s: ${sentence}`])
    })

    it('a file that does not exist is refused when it was asked for', async () => {
      expect(await start('server', '--config', '/none.yaml')).toEqual([
        2,
        'k3s: Cannot read configuration file "/none.yaml": it does not exist',
      ])
    })

    it('an unknown key is skipped with a warning', async () => {
      await give(file, `colour: green\ndata-dir: /proc/none\n`)
      const { code, stderr } = await other.exec(program, ['server'])
      expect(code).toBe(1)
      expect(stderr).toContain(
        'Cannot use data directory "/proc/none": the path does not exist and cannot be made; give another one with --data-dir',
      )
      expect(stderr).toContain('Configuration file: key \\"colour\\" is not known and was skipped')
    })
  })

  describe('about ports and data directories', () => {
    const solo = ['server', '--disable-agent', '--write-kubeconfig', '/run/solo.yaml', '--data-dir'] as const

    it('a taken port', async () => {
      const [code, text] = await complaint(cluster.server.host, [...solo, '/run/second']).then((one) => [one.code, one.text])
      expect([code, text]).toEqual([
        1,
        'k3s: Cannot listen on 0.0.0.0:6443: the port is taken; stop the program that has it or give another one with --https-listen-port',
      ])
    })

    it('a file in the place of the data directory', async () => {
      await give('/run/file', 'not a folder')
      const sentence = (path: string): string =>
        `k3s: Cannot use data directory "${path}": a part of the path is a file; give another one with --data-dir`
      expect(await start(...solo, '/run/file')).toEqual([1, sentence('/run/file')])
      expect(await start(...solo, '/run/file/below')).toEqual([1, sentence('/run/file/below')])
      expect(await start('agent', '--server', url, '--token', token, '--data-dir', '/run/file')).toEqual([1, sentence('/run/file')])
      expect(await readFile(other.path('/run/file'), 'utf8')).toBe('not a folder')
    })

    it('a read-only data directory', async () => {
      const made = await other.exec('sh', ['-c', 'mkdir -p /run/read-only && mount -t tmpfs -o ro tmpfs /run/read-only'])
      expect(made.code, made.stderr).toBe(0)
      const sentence = 'k3s: Cannot use data directory "/run/read-only": the file system is read-only; give another one with --data-dir'
      expect(await start(...solo, '/run/read-only')).toEqual([1, sentence])
      expect(await start('agent', '--server', url, '--token', token, '--data-dir', '/run/read-only')).toEqual([1, sentence])
    })

    it('a full disk', async () => {
      await other.exec('sh', ['-c', 'mkdir -p /run/small && mount -t tmpfs -o size=16k tmpfs /run/small'])
      const [code, text] = await start(...solo, '/run/small')
      expect(code).toBe(1)
      expect(text).toMatch(
        /^k3s: Cannot use data directory "\/run\/small": no space is left on the device; give another one with --data-dir$/,
      )
    })

    it('the database of the original K3s, which is left as it is', async () => {
      const file = other.path('/run/kine/server/db/state.db')
      await mkdir(dirname(file), { recursive: true })
      const made = join(cluster.lab.folder, 'kine.db') // SQLite does not see the host's files through /proc
      const database = new DatabaseSync(made)
      database.exec(`create table kine (id integer primary key autoincrement, name text, created integer, deleted integer, create_revision integer, prev_revision integer, lease integer, value blob, old_value blob);
        insert into kine (name, value) values ('/registry/namespaces/default', x'00')`)
      database.close()
      const before = await readFile(made)
      await writeFile(file, before)
      expect(await start(...solo, '/run/kine')).toEqual([
        1,
        'k3s: Cannot open datastore "/run/kine/server/db/state.db": it is the database of the original K3s (kine); give another path or another data directory: this file is left as it is',
      ])
      expect((await readFile(file)).equals(before)).toBe(true)
    })

    it('a database that is none', async () => {
      await give('/run/odd/server/db/state.db', 'Dear diary, '.repeat(1000))
      expect(await start(...solo, '/run/odd')).toEqual([
        1,
        'k3s: Cannot open datastore "/run/odd/server/db/state.db": it is not a SQLite database; give another path or another data directory: this file is left as it is',
      ])
      expect(await readFile(other.path('/run/odd/server/db/state.db'), 'utf8')).toBe('Dear diary, '.repeat(1000))
    })

    it('an unknown kind of datastore', async () => {
      const [code, text] = await start(...solo, '/run/dsn', '--datastore-endpoint', 'redis://localhost')
      expect(code).toBe(1)
      expect(text).toMatch(/^k3s: Cannot .*redis.*$/)
      expect(text.split('\n')).toHaveLength(1)
    })

    it('another token than the cluster was made with', async () => {
      expect(await complaint(cluster.server.host, ['server', '--token', 'another'])).toEqual({
        code: 1,
        text: `k3s: Cannot use the given --token: this cluster has another one, in "${dataDir}/server/token"; leave --token out or give that one`,
      })
    })
  })

  describe('when joining', () => {
    const joinWith = (...args: readonly string[]): Promise<readonly [number, string]> =>
      start('agent', '--server', url, '--data-dir', '/run/joining', ...args)
    const hash = (text: string): string => text.slice(3, 67)

    it('a wrong password', async () => {
      expect(await joinWith('--token', `K10${hash(token)}::node:wrong`)).toEqual([
        1,
        `k3s: Cannot join ${url}: the server does not accept the token (not authorized)`,
      ])
      expect(await joinWith('--token', 'wrong')).toEqual([
        1,
        `k3s: Cannot join ${url}: the server does not accept the token (not authorized)`,
      ])
    })

    it('a wrong CA hash, before anything secret is sent', async () => {
      const wrong = '0'.repeat(64)
      expect(await joinWith('--token', token.replace(hash(token), wrong))).toEqual([
        1,
        `k3s: token CA hash does not match the Cluster CA certificate hash: ${wrong} != ${hash(token)}`,
      ])
    })

    it('a taken port of the load balancer, or of the kubelet', async () => {
      for (const [port, flag, host] of [
        [6444, '--lb-server-port', '127.0.0.1'],
        [10_250, '--kubelet-port', '0.0.0.0'],
      ] as const) {
        const taker = other.spawn(process.execPath, ['-e', `require('net').createServer().listen(${port}, '127.0.0.1')`], {
          logFile: '/dev/null',
        })
        await until('the port is taken', async () =>
          (await other.exec('curl', ['-sm', '1', `http://127.0.0.1:${port}`])).code === 28 ? true : undefined,
        )
        expect(await joinWith('--token', token)).toEqual([
          1,
          `k3s: Cannot listen on ${host}:${port}: the port is taken; stop the program that has it or give another one with ${flag}`,
        ])
        const pid = programPid(taker)
        if (pid !== undefined) process.kill(pid, 'SIGKILL')
        await taker.exited
      }
      await cluster.kubectl('delete node other --ignore-not-found')
    })

    it('a server that is not there is named with the reason, and waited for', async () => {
      const waiting = member('waiting')
      const nobody = `https://${cluster.server.host.ip}:7999`
      cluster.start(waiting, ['agent', '--server', nobody, '--token', token, '--data-dir', '/run/waiting'])
      await waitForLog(
        waiting,
        `"Cannot reach server ${nobody}: connect ECONNREFUSED ${cluster.server.host.ip}:7999","msg":"Cannot join the cluster yet; trying again"`,
      )
      expect(await end(waiting, 'SIGTERM')).toBe(0)
    })

    it('a second machine with a name that is taken is refused, says so, and joins once the name is free', async () => {
      await cluster.addAgent('twin')
      await cluster.waitForNode('twin')
      await other.exec('hostname', ['twin'])
      const second = member('second')
      cluster.start(second, ['agent', '--server', url, '--token', token, '--data-dir', '/run/joining'])
      await waitForLog(
        second,
        `Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag`,
      )
      await cluster.waitForNode('twin')
      const [first] = cluster.agents
      if (first === undefined) throw new Error('No agent')
      await end(first, 'SIGTERM')
      await cluster.kubectl('delete node twin')
      await cluster.waitForNode('twin')
      expect(await cluster.kubectl(`get node twin -o jsonpath='{.status.addresses[0].address}'`)).toBe(other.ip)
      expect(await end(second, 'SIGTERM')).toBe(0)
      await cluster.kubectl('delete node twin')
      await other.exec('hostname', ['other'])
    })
  })

  describe('in requests', () => {
    const path = '/api/v1/namespaces/default/configmaps'
    const curl = async (args: string, input?: string): Promise<readonly [number, string]> => {
      const tls = `${dataDir}/server/tls`
      const { stdout } = await cluster.server.host.exec(
        'sh',
        [
          '-c',
          `curl -sm 20 --cacert ${tls}/server-ca.crt --cert ${tls}/client-admin.crt --key ${tls}/client-admin.key -w '\\n%{http_code}' ${args}`,
        ],
        { input },
      )
      const at = stdout.lastIndexOf('\n')
      return [Number(stdout.slice(at + 1)), stdout.slice(0, at)]
    }
    const status = async (type: string, body: string, query = '', more = ''): Promise<readonly [number, string, string]> => {
      const [code, answer] = await curl(`${more} -H 'content-type: ${type}' --data-binary @- 'https://127.0.0.1:6443${path}${query}'`, body)
      const { kind, reason, message } = JSON.parse(answer) as Readonly<Record<'kind' | 'reason' | 'message', string>> // compared by every caller
      expect(kind).toBe('Status')
      return [code, reason, message]
    }
    const json = 'application/json'
    const map = (more: string): string => `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"odd"},${more}}`

    it.each<readonly [string, string, string, string, readonly [number, string, RegExp]]>([
      [
        'broken JSON',
        json,
        '{"kind": nope',
        '',
        [
          400,
          'BadRequest',
          /^the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version\/kind; json parse error: /,
        ],
      ],
      [
        'an array',
        json,
        '[]',
        '',
        [
          400,
          'BadRequest',
          /^the object provided is unrecognized \(must be of type ConfigMap\): couldn't get version\/kind; json parse error: json: cannot unmarshal array/,
        ],
      ],
      ['200,000 nested arrays', json, '['.repeat(200_000), '', [400, 'BadRequest', /json parse error/]],
      ['200,000 nested objects', json, '{"a":'.repeat(200_000), '', [400, 'BadRequest', /json parse error/]],
      [
        'broken YAML',
        'application/yaml',
        'a: [',
        '',
        [400, 'BadRequest', /^the object provided is unrecognized \(must be of type ConfigMap\): yaml: line 1: /],
      ],
      [
        'a YAML bomb',
        'application/yaml',
        `a: &a [1,1,1,1,1,1,1,1,1]\n${'bcdefghij'
          .split('')
          .map((c, i) => `${c}: &${c} [${Array.from({ length: 9 }, () => `*${'abcdefghij'[i] ?? ''}`).join(',')}]`)
          .join('\n')}\n`,
        '',
        [400, 'BadRequest', /^the object provided is unrecognized \(must be of type ConfigMap\): yaml: /],
      ],
      [
        'no protobuf',
        'application/vnd.kubernetes.protobuf',
        'k8sgarbage',
        '',
        [400, 'BadRequest', /^provided data does not appear to be a protobuf message, expected prefix/],
      ],
      ['broken protobuf', 'application/vnd.kubernetes.protobuf', 'k8s\0\n\x7fgarbage', '', [400, 'BadRequest', /./]],
      [
        'a form',
        'application/x-www-form-urlencoded',
        'a=b',
        '',
        [
          415,
          'UnsupportedMediaType',
          /^the body of the request was in an unknown format - accepted media types include: application\/json, application\/yaml, application\/vnd\.kubernetes\.protobuf/,
        ],
      ],
      [
        'another kind',
        json,
        '{"kind":"Pod","apiVersion":"v1","metadata":{"name":"odd"}}',
        '',
        [400, 'BadRequest', /^Pod in version "v1" cannot be handled as a ConfigMap/],
      ],
      [
        'another version',
        json,
        '{"kind":"ConfigMap","apiVersion":"v9","metadata":{"name":"odd"}}',
        '',
        [
          400,
          'BadRequest',
          /^ConfigMap in version "v9" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v9"/,
        ],
      ],
      [
        'an unknown field, strictly',
        json,
        map('"dta":{}'),
        '?fieldValidation=Strict',
        [400, 'BadRequest', /strict decoding error: unknown field "dta"$/],
      ],
      [
        'a duplicate field, strictly',
        json,
        map('"data":{"a":"1","a":"2"}'),
        '?fieldValidation=Strict',
        [400, 'BadRequest', /strict decoding error: duplicate field "data\.a"$/],
      ],
      [
        'a number for a text',
        json,
        map('"data":{"a":1}'),
        '',
        [400, 'BadRequest', /json: cannot unmarshal number into Go struct field ConfigMap\.data of type string$/],
      ],
      [
        'a bad name',
        json,
        '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"A_b"}}',
        '',
        [
          422,
          'Invalid',
          /^ConfigMap "A_b" is invalid: metadata\.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain must consist of/,
        ],
      ],
      [
        'an object above its limit',
        json,
        map(`"data":{"a":"${'x'.repeat(1_200_000)}"}`),
        '',
        [422, 'Invalid', /Too long: may not be more than 1048576 bytes$/],
      ],
      [
        'a body above the limit',
        json,
        'x'.repeat(3_200_000),
        '',
        [413, 'RequestEntityTooLarge', /^Request entity too large: limit is 3145728$/],
      ],
    ])('%s gets one Status', async (_, type, body, query, [code, reason, message]) => {
      const answer = await status(type, body, query)
      expect(answer.slice(0, 2)).toEqual([code, reason])
      expect(answer[2]).toMatch(message)
    })

    it('a body above the limit whose length was not told', async () => {
      expect(await status(json, 'x'.repeat(3_200_000), '', `--http1.1 -H 'transfer-encoding: chunked'`)).toEqual([
        413,
        'RequestEntityTooLarge',
        'Request entity too large: limit is 3145728',
      ])
    })

    it('an unknown field is dropped with a warning, as kubectl shows it', async () => {
      const [code, answer] = await curl(
        `-i -H 'content-type: ${json}' --data-binary @- 'https://127.0.0.1:6443${path}?dryRun=All'`,
        map('"dta":{}'),
      )
      expect(code).toBe(201)
      expect(answer).toContain('warning: 299 - "unknown field \\"dta\\""')
      const { code: exit, stderr } = await cluster.tryKubectl('create -f -', {
        input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: odd}\ndta: {}\n',
      })
      expect(exit).toBe(1)
      expect(stderr).toBe(
        'Error from server (BadRequest): error when creating "STDIN": ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dta"\n',
      )
    })

    it('left nothing behind, and the server works on', async () => {
      expect((await cluster.tryKubectl('get configmap odd')).stderr).toContain('configmaps "odd" not found')
      expect(await cluster.kubectl('get --raw /readyz')).toBe('ok')
    })
  })

  describe('with containerd', () => {
    it('a missing program is named with its package', async () => {
      await other.exec('mount', ['--bind', '/dev/null', '/usr/bin/containerd'])
      expect(await start('server', '--data-dir', '/run/bare')).toEqual([
        1,
        'k3s: Cannot find program "containerd" in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin: install the package "containerd" (apt-get install containerd)',
      ])
      await other.exec('umount', ['/usr/bin/containerd'])
    })

    it('a configuration that containerd refuses is shown with its log', async () => {
      await give('/run/broken/agent/etc/containerd/config.toml.tmpl', 'this is no TOML\n')
      const [code, text] = await start('server', '--data-dir', '/run/broken')
      expect(code).toBe(1)
      expect(text).toMatch(/^k3s: containerd died at once:\n.*toml/s)
    })

    it('a runtime of somebody else that is not there makes the node NotReady with the reason', async () => {
      const lonely = member('lonely')
      cluster.start(lonely, [
        'agent',
        '--server',
        url,
        '--token',
        token,
        '--data-dir',
        '/run/lonely',
        '--container-runtime-endpoint',
        'unix:///run/none.sock',
      ])
      await eventually('the node says why', async () => {
        const message = await cluster.kubectl(`get node other -o jsonpath='{.status.conditions[?(@.type=="Ready")].message}'`)
        expect(message).toContain('container runtime is down')
      })
      expect(await cluster.kubectl(`get node other -o jsonpath='{.status.conditions[?(@.type=="Ready")].status}'`)).toBe('False')
      await waitForLog(lonely, '/run/none.sock')
      await waitForLog(lonely, 'The container runtime does not answer')
      expect(await end(lonely, 'SIGTERM')).toBe(0)
      await cluster.kubectl('delete node other')
    })

    it('comes back when it was killed; pods never notice', async () => {
      const { host } = cluster.server
      await cluster.kubectl(
        `run steady --image=${busybox} --overrides='{"spec":{"terminationGracePeriodSeconds":0}}' -- sh -c 'while sleep 0.2; do echo tick; done'`,
      )
      await cluster.kubectl('wait --for=condition=Ready pod/steady --timeout=60s')
      const before = identityOf(await cluster.kubectl('get pod steady -o json'))
      for (let round = 0; round < 2; round++) {
        const pid = await containerdPid(host)
        expect((await host.exec('kill', ['-9', String(pid)])).code).toBe(0)
        await until('another containerd runs', async () => ((await containerdPid(host)) === pid ? undefined : true))
        await eventually('exec works', async () => {
          expect(await cluster.kubectl('exec steady -- hostname')).toBe('steady\n')
        })
      }
      expect(identityOf(await cluster.kubectl('get pod steady -o json'))).toEqual(before)
      const lines = (await cluster.kubectl('logs steady --since=1s')).split('\n').length
      expect(lines).toBeGreaterThan(2)
      await cluster.kubectl(`run fresh --image=${busybox} --restart=Never -- true`)
      await cluster.kubectl('wait --for=jsonpath={.status.phase}=Succeeded pod/fresh --timeout=60s')
    })
  })

  it('has lost nothing and still serves', async () => {
    await cluster.waitForNode('server')
    expect(await cluster.kubectl('exec steady -- hostname')).toBe('steady\n')
  })
})
