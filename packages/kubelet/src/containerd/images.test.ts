import { expect, test } from 'vitest'
import { fullName, imageNames } from './images.ts'

test.each([
  ['busybox', 'docker.io/library/busybox:latest'],
  ['busybox:1', 'docker.io/library/busybox:1'],
  ['rancher/pause:3.6', 'docker.io/rancher/pause:3.6'],
  ['quay.io/a/b', 'quay.io/a/b:latest'],
  ['localhost/a:1', 'localhost/a:1'],
  ['registry:5000/a', 'registry:5000/a:latest'],
  ['a@sha256:00', 'docker.io/library/a@sha256:00'],
])('%s is %s', (reference, full) => {
  expect(fullName(reference)).toBe(full)
})

test('names come from docker manifests and OCI indexes, once each', () => {
  const files = new Map([
    ['manifest.json', Buffer.from('[{"RepoTags":["a:1","quay.io/b:2"]},{"RepoTags":null}]')],
    ['index.json', Buffer.from('{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/library/a:1"}},{}]}')],
  ])
  expect(imageNames(files)).toEqual(['docker.io/library/a:1', 'quay.io/b:2'])
  expect(imageNames(new Map())).toEqual([])
})
