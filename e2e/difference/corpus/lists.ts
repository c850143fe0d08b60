import { CaseBuilder, type Area } from '../case.ts'

const maps = '/api/v1/namespaces/$ns/configmaps'
const names = ['a', 'b', 'c', 'd', 'e']

function withMaps(name: string): CaseBuilder {
  const built = new CaseBuilder(name)
  for (const [index, one] of names.entries())
    built.post(
      maps,
      {
        metadata: { name: one, labels: { n: String(index), even: String(index % 2 === 0), ...(index > 2 ? { big: '' } : {}) } },
        data: { i: String(index) },
      },
      one,
    )
  return built
}

const selectors = [
  'even=true',
  'even!=true',
  'n in (1,2)',
  'n notin (1,2)',
  'big',
  '!big',
  'n>2',
  'n<2',
  'even=true,big',
  'even==false',
  'nothing=',
  'big=',
  'n in ()',
  'n in (1,)',
  'x notin (y)',
]

function pages(): Area['cases'][number] {
  const built = withMaps('pages')
    .get(`${maps}?limit=2`, 'one')
    .get(`${maps}?limit=2&continue=$(one:metadata.continue)`, 'two')
    .post(maps, { metadata: { name: 'bb' } }, 'between')
    .get(`${maps}?limit=2&continue=$(two:metadata.continue)`, 'three')
    .get(`${maps}?continue=$(one:metadata.continue)`, 'rest')
    .get(`${maps}?limit=2&continue=$(one:metadata.continue)&resourceVersion=$(one:metadata.resourceVersion)`, 'continue with a version')
    .get(`${maps}?limit=2&resourceVersion=0`, 'any version')
    .get(`${maps}?limit=5&labelSelector=even%3Dtrue`, 'selected page')
    .get(`${maps}?limit=1&labelSelector=even%3Dtrue`, 'selected first')
    .get(`${maps}?limit=1&labelSelector=even%3Dtrue&continue=$(selected first:metadata.continue)`, 'selected second')
    .get(`${maps}?limit=0`, 'no limit')
    .get(`${maps}?resourceVersion=$(one:metadata.resourceVersion)&resourceVersionMatch=Exact`, 'exact')
    .get(`${maps}?resourceVersion=$(one:metadata.resourceVersion)&resourceVersionMatch=NotOlderThan`, 'not older')
    .get(`${maps}?resourceVersion=$(one:metadata.resourceVersion)&limit=3`, 'old page')
    .get(`${maps}?resourceVersion=999999999`, 'future')
    .get(`${maps}?resourceVersion=999999999&resourceVersionMatch=Exact`, 'exact future')
    .get(`${maps}/a?resourceVersion=999999999`, 'get future')
    .get(`${maps}/a?resourceVersion=0`, 'get any')
    .get(`${maps}/a?resourceVersion=abc`, 'get bad version')
  for (const selector of selectors) built.get(`${maps}?labelSelector=${encodeURIComponent(selector)}`, `select ${selector}`)
  return built.build()
}

function watches(): Area['cases'][number] {
  const from = (query: string, step = 'list'): string =>
    `${maps}?watch=1&timeoutSeconds=1&resourceVersion=$(${step}:metadata.resourceVersion)${query}`
  return withMaps('watches')
    .get(maps, 'list')
    .patch(`${maps}/a`, 'merge', { metadata: { labels: { even: 'false' } } }, 'leave')
    .patch(`${maps}/b`, 'merge', { metadata: { labels: { even: 'true' } } }, 'enter')
    .patch(`${maps}/c`, 'merge', { data: { more: 'x' } }, 'change')
    .delete(`${maps}/d`, undefined, 'remove')
    .delete(`${maps}/e`, undefined, 'remove too')
    .post(maps, { metadata: { name: 'f', labels: { even: 'true' } } }, 'add')
    .get(from(''), 'all', { events: 6 })
    .get(from('&labelSelector=even%3Dtrue'), 'selected', { events: 5 })
    .get(from('&fieldSelector=metadata.name%3Dc'), 'one name', { events: 1 })
    .get(from('&fieldSelector=metadata.name%21%3Dc'), 'other names', { events: 5 })
    .get(`/api/v1/watch/namespaces/$ns/configmaps/c?timeoutSeconds=1&resourceVersion=$(list:metadata.resourceVersion)`, 'old path', {
      events: 1,
    })
    .get(
      `/api/v1/watch/namespaces/$ns/configmaps?timeoutSeconds=1&resourceVersion=$(list:metadata.resourceVersion)`,
      'old collection path',
      { events: 6 },
    )
    .get(from(''), 'as table', { events: 6, headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } })
    .get(from(''), 'as metadata', { events: 6, headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' } })
    .get(from(''), 'as yaml', { headers: { accept: 'application/yaml' } })
    .get(`${maps}?watch=1&timeoutSeconds=1`, 'no version', { events: 4 })
    .get(`${maps}?watch=1&timeoutSeconds=1&resourceVersion=0`, 'any version', { events: 4 })
    .get(`${maps}?watch=1&timeoutSeconds=2&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`, 'initial', {
      events: 5,
    })
    .get(`${maps}?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`, 'initial without bookmarks', {
      events: 4,
    })
    .get(`${maps}?watch=1&timeoutSeconds=1&resourceVersion=999999999`, 'future', { events: 1 })
    .get(`${maps}/c?watch=1&timeoutSeconds=1&resourceVersion=$(list:metadata.resourceVersion)`, 'of one', { events: 1 })
    .get(from('', 'add'), 'nothing new')
    .get(`${maps}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion=$(add:metadata.resourceVersion)`, 'from the last')
    .build()
}

function collections(): Area['cases'][number] {
  return withMaps('collections')
    .delete(`${maps}?labelSelector=even%3Dtrue&dryRun=All`, undefined, 'dry')
    .delete(`${maps}?labelSelector=even%3Dtrue&limit=1`, undefined, 'selected')
    .get(maps, 'left')
    .delete(`${maps}?fieldSelector=metadata.name%3Db`, { propagationPolicy: 'Background' }, 'by name')
    .delete(`${maps}?fieldSelector=spec.x%3Db`, undefined, 'by nothing')
    .delete(`${maps}?labelSelector=%21%21`, undefined, 'bad selector')
    .delete(maps, { preconditions: { uid: 'other' } }, 'other uid')
    .post(maps, { metadata: { name: 'held', finalizers: ['example.com/hold'] } }, 'held')
    .delete(maps, undefined, 'all')
    .get(maps, 'still there')
    .patch(`${maps}/held`, 'json', [{ op: 'remove', path: '/metadata/finalizers' }], 'release')
    .get(maps, 'empty')
    .delete(maps, undefined, 'nothing')
    .delete('/api/v1/namespaces/$ns/services', undefined, 'services')
    .delete('/api/v1/namespaces/$ns/bindings', undefined, 'bindings')
    .build()
}

function deletions(): Area['cases'][number] {
  const built = new CaseBuilder('deletions')
  const policies = [
    { propagationPolicy: 'Orphan' },
    { propagationPolicy: 'Foreground' },
    { propagationPolicy: 'Background' },
    { orphanDependents: true },
    { orphanDependents: false },
    { gracePeriodSeconds: 0 },
    { gracePeriodSeconds: 30 },
    {},
  ]
  for (const [index, options] of policies.entries()) {
    const name = `p${index}`
    for (const [path, body] of [
      ['/api/v1/namespaces/$ns/configmaps', { metadata: { name } }],
      [
        '/apis/apps/v1/namespaces/$ns/replicasets',
        {
          metadata: { name },
          spec: {
            selector: { matchLabels: { a: 'b' } },
            template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
          },
        },
      ],
      [
        '/apis/batch/v1/namespaces/$ns/jobs',
        { metadata: { name }, spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } } } },
      ],
      ['/api/v1/namespaces/$ns/pods', { metadata: { name }, spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] } }],
    ] as const) {
      const kind = path.split('/').at(-1) ?? ''
      built
        .post(path, body, `create ${kind} ${name}`)
        .delete(`${path}/${name}`, options, `delete ${kind} ${name}`)
        .get(`${path}/${name}`, `get ${kind} ${name}`)
    }
  }
  return built
    .delete('/api/v1/namespaces/$ns/pods/p6', { gracePeriodSeconds: 10 }, 'shorter')
    .delete('/api/v1/namespaces/$ns/pods/p6', { gracePeriodSeconds: 60 }, 'longer')
    .delete('/api/v1/namespaces/$ns/pods/p6', { gracePeriodSeconds: 0 }, 'now')
    .get('/api/v1/namespaces/$ns/pods/p6', 'gone')
    .build()
}

export const lists: Area = { name: 'lists', cases: [pages(), watches(), collections(), deletions()] }
