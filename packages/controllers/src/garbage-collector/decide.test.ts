import { describe, expect, it } from 'vitest'
import { decideDeletion, type OwnerState } from './decide.ts'

const owner = (uid: string, state: OwnerState) => ({ reference: { apiVersion: 'v1', kind: 'ConfigMap', name: uid, uid }, state })
const decide = (
  owners: readonly ReturnType<typeof owner>[],
  {
    finalizers = [],
    hasDependents = false,
    hasWaitingDependent = false,
  }: { readonly finalizers?: string[]; readonly hasDependents?: boolean; readonly hasWaitingDependent?: boolean } = {},
) => decideDeletion({ object: { metadata: { name: 'x', finalizers } }, owners, hasDependents, hasWaitingDependent })

describe('decideDeletion()', () => {
  it.each([
    ['nobody', []],
    ['someone who is there', [owner('a', 'solid')]],
    ['someone of an unserved kind, though another owner is gone', [owner('a', 'unknown'), owner('b', 'absent')]],
  ])('keeps what is owned by %s', (_, owners) => {
    expect(decide(owners)).toEqual({ action: 'keep' })
  })

  it('removes references to owners that are gone or going when one stays', () => {
    expect(decide([owner('a', 'solid'), owner('b', 'absent'), owner('c', 'awaitsDependents')])).toEqual({
      action: 'disown',
      uids: ['b', 'c'],
    })
  })

  it.each([
    ['in the background', [], 'Background'],
    ['orphaning, as it was asked for before', ['orphan'], 'Orphan'],
    ['in the foreground, as it was asked for before', ['foregroundDeletion'], 'Foreground'],
  ])('deletes %s what has no owner left', (_, finalizers, propagationPolicy) => {
    expect(decide([owner('a', 'absent')], { finalizers })).toMatchObject({ action: 'delete', propagationPolicy })
  })

  it('deletes in the foreground for an owner that waits, and breaks circles', () => {
    const waiting = [owner('a', 'awaitsDependents')]
    expect(decide(waiting)).toMatchObject({ propagationPolicy: 'Background' })
    expect(decide(waiting, { hasDependents: true })).toMatchObject({ propagationPolicy: 'Foreground', unblockOwners: false })
    expect(decide(waiting, { hasDependents: true, hasWaitingDependent: true })).toMatchObject({ unblockOwners: true })
  })
})
