import { expect, it } from 'vitest'
import { parseRequestInfo } from '../http/request-info.ts'
import { MaxInFlight } from './max-in-flight.ts'

const joe = { name: 'joe', groups: [] }
const admin = { name: 'root', groups: ['system:masters'] }
const info = (method: string, path: string) => parseRequestInfo(method, path, new URLSearchParams())
const pods = '/api/v1/namespaces/a/pods'

it('MaxInFlight turns away what is too much, reads and writes by themselves, but never masters', () => {
  const limits = new MaxInFlight({ maxReads: 2, maxWrites: 1 })
  const first = limits.admit(info('GET', pods), joe)
  limits.admit(info('GET', pods), joe)
  expect(() => limits.admit(info('GET', pods), joe)).toThrow('Too many requests, please try again later.')
  limits.admit(info('GET', pods), admin)
  limits.admit(info('POST', pods), joe)
  expect(() => limits.admit(info('POST', pods), joe)).toThrow('Too many')
  // Watches and streams do not count.
  limits.admit(info('GET', `/api/v1/watch/namespaces/a/pods`), joe)
  limits.admit(info('GET', `${pods}/x/log`), joe)
  first()
  first()
  limits.admit(info('GET', pods), joe)
  expect(() => limits.admit(info('GET', pods), joe)).toThrow('Too many')
  expect(limits.takeMost()).toEqual({ reads: 2, writes: 1 })
})

it('MaxInFlight without limits lets everybody in', () => {
  const limits = new MaxInFlight({ maxReads: 0, maxWrites: 0 })
  for (let count = 0; count < 1000; count++) limits.admit(info('POST', pods), joe)
  expect(limits.takeMost()).toEqual({ reads: 0, writes: 1000 })
})
