import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { readFile } from 'node:fs/promises'
import { pauseCode, pauseProgram } from './pause-program.ts'
import { pauseImageArchive } from './pause-image.ts'

test('the code for arm64, as a disassembler reads it', () => {
  const code = pauseCode('arm64')
  const words = Array.from({ length: 22 }, (_, n) => code.readUInt32LE(n * 4).toString(16))
  expect(words).toEqual([
    'd28010c8', // mov x8, #134    rt_sigaction
    'd2800220', // mov x0, #17     SIGCHLD
    '10000281', // adr x1, .+0x50  the action at 0x58
    'd2800002', // mov x2, #0
    'd2800103', // mov x3, #8
    'd4000001', // svc #0
    'd28010e8', // mov x8, #135    rt_sigprocmask
    'd2800000', // mov x0, #0      SIG_BLOCK
    '100002c1', // adr x1, .+0x58  the set at 0x78
    'd2800002', // mov x2, #0
    'd2800103', // mov x3, #8
    'd4000001', // svc #0
    'd2801128', // mov x8, #137    rt_sigtimedwait
    '10000220', // adr x0, .+0x44  the set at 0x78
    'd2800001', // mov x1, #0
    'd2800002', // mov x2, #0
    'd2800103', // mov x3, #8
    'd4000001', // svc #0
    'b7ffff40', // tbnz x0, #63, .-0x18
    'd2800ba8', // mov x8, #93     exit
    'd2800000', // mov x0, #0
    'd4000001', // svc #0
  ])
  expect(code.subarray(0x58).toString('hex')).toBe(`01${'00'.repeat(31)}0240000000000000`)
})

test('the code for x86-64, as a disassembler reads it', () => {
  expect(pauseCode('x64').toString('hex')).toBe(
    [
      'b80d000000', // mov eax, 13     rt_sigaction
      'bf11000000', // mov edi, 17     SIGCHLD
      '488d3547000000', // lea rsi, [rip+0x47]  the action at 0x58
      '31d2', // xor edx, edx
      '41ba08000000', // mov r10d, 8
      '0f05', // syscall
      'b80e000000', // mov eax, 14     rt_sigprocmask
      '31ff', // xor edi, edi    SIG_BLOCK
      '488d354f000000', // lea rsi, [rip+0x4f]  the set at 0x78
      '31d2',
      '41ba08000000',
      '0f05',
      'b880000000', // mov eax, 128    rt_sigtimedwait
      '488d3d39000000', // lea rdi, [rip+0x39]  the set at 0x78
      '31f6', // xor esi, esi
      '31d2',
      '41ba08000000',
      '0f05',
      '85c0', // test eax, eax
      '78e4', // js -28
      'b83c000000', // mov eax, 60     exit
      '31ff',
      '0f05',
      `01${'00'.repeat(31)}`, // SIG_IGN, no flags, no restorer, no mask
      '0240000000000000', // SIGTERM and SIGINT
    ].join(''),
  )
})

test('the file is an executable that starts behind its headers', () => {
  for (const [architecture, machine] of [
    ['x64', 62],
    ['arm64', 183],
  ] as const) {
    const file = pauseProgram(architecture)
    expect(file.subarray(0, 4).toString('latin1')).toBe('\x7fELF')
    expect(file.readUInt16LE(18)).toBe(machine)
    expect(file.readBigUInt64LE(24)).toBe(0x400078n)
    expect(file.readBigUInt64LE(64 + 32)).toBe(BigInt(file.length))
    expect(file.subarray(120)).toEqual(pauseCode(architecture))
  }
})

test.runIf(process.arch === 'x64' || process.arch === 'arm64').each(['SIGTERM', 'SIGINT'] as const)(
  'the program waits and ends well on %s',
  async (signal) => {
    const directory = await mkdtemp(join(tmpdir(), 'pause-'))
    onTestFinished(() => rm(directory, { recursive: true }))
    await writeFile(join(directory, 'pause'), pauseProgram(process.arch === 'arm64' ? 'arm64' : 'x64'), { mode: 0o755 })
    const { promise, resolve } = Promise.withResolvers<number | null>()
    const child = execFile(join(directory, 'pause')).once('exit', resolve)
    // Ignored: SIGCHLD, which is bit 16.
    await vi.waitFor(async () => expect(await readFile(`/proc/${child.pid}/status`, 'utf8')).toMatch(/^SigIgn:\t0{11}1[0-9a-f]{4}$/m))
    child.kill('SIGSTOP')
    child.kill('SIGCONT')
    child.kill('SIGCHLD')
    await vi.waitFor(async () => expect(await readFile(`/proc/${child.pid}/status`, 'utf8')).toMatch(/^State:\tS/m))
    child.kill(signal)
    expect(await promise).toBe(0)
  },
)

test('the image is small and always the same', () => {
  const archive = pauseImageArchive('rancher/mirrored-pause:3.6', 'x64')
  expect(archive.length).toBeLessThan(8000)
  expect(archive.equals(pauseImageArchive('rancher/mirrored-pause:3.6', 'x64'))).toBe(true)
})
