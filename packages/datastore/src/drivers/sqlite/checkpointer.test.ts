import { expect, it, vi } from 'vitest'
import { Checkpointer } from './checkpointer.ts'
import type { CheckpointerCall, LogSize } from './messages.ts'
import type { WorkerThread } from './worker-thread.ts'

/** A thread whose checkpoints end when the test says so. */
class ManualThread {
  readonly #answers: ((size: LogSize) => void)[] = []
  checkpoints = 0

  call({ method }: CheckpointerCall): Promise<unknown> {
    if (method !== 'checkpoint') return Promise.resolve()
    this.checkpoints++
    return new Promise((resolve) => this.#answers.push(resolve))
  }

  answer(size: LogSize): void {
    this.#answers.shift()?.(size)
  }

  async terminate(): Promise<void> {}
}

function setUp(): { readonly thread: ManualThread; readonly checkpointer: Checkpointer } {
  const thread = new ManualThread()
  return { thread, checkpointer: new Checkpointer(() => thread as unknown as WorkerThread<CheckpointerCall>) } // it calls no more of it
}
const begun = (thread: ManualThread, count: number): Promise<void> =>
  vi.waitFor(() => expect(thread.checkpoints).toBe(count), { timeout: 10_000, interval: 2 })
const small = { bytes: 300 * 4096, copiedBytes: 0 }
const copied = { bytes: 1200 * 4096, copiedBytes: 1200 * 4096 }

it('a copy that began before the file was to shrink does not count: another follows', async () => {
  const { thread, checkpointer } = setUp()
  checkpointer.note({ bytes: 1200 * 4096, copiedBytes: 0 })
  await begun(thread, 1)
  checkpointer.noteShrunk(small)
  thread.answer(copied) // true when it looked, which was too early
  await begun(thread, 2)
  thread.answer({ bytes: 300 * 4096, copiedBytes: 300 * 4096 })
  await checkpointer[Symbol.asyncDispose]()
  expect(thread.checkpoints).toBe(2)
})

it('after pages were given back a small log is copied too, again and again until it is whole', async () => {
  const { thread, checkpointer } = setUp()
  checkpointer.noteShrunk(small)
  await begun(thread, 1)
  thread.answer({ bytes: 310 * 4096, copiedBytes: 300 * 4096 })
  await begun(thread, 2)
  thread.answer({ bytes: 310 * 4096, copiedBytes: 310 * 4096 })
  await checkpointer[Symbol.asyncDispose]()
  expect(thread.checkpoints).toBe(2)
})

it('a small log is otherwise left alone, and so is one that is copied', async () => {
  const { thread, checkpointer } = setUp()
  checkpointer.note(small)
  checkpointer.note(copied)
  // Begins later than a copy for either of them would.
  checkpointer.note({ bytes: 1100 * 4096, copiedBytes: 1000 * 4096 })
  await begun(thread, 1)
  thread.answer({ bytes: 1100 * 4096, copiedBytes: 1100 * 4096 })
  await checkpointer[Symbol.asyncDispose]()
  expect(thread.checkpoints).toBe(1)
})
