import { append } from '@k3s/lifecycle'
/**
 * The program of the pause container, which holds a sandbox's namespaces: an ELF file of some 250 bytes.
 *
 * ```
 * rt_sigaction(SIGCHLD, SIG_IGN)        // with a shared process namespace orphans come to us: the kernel reaps them
 * rt_sigprocmask(SIG_BLOCK, {SIGTERM, SIGINT})
 * do n = rt_sigtimedwait({SIGTERM, SIGINT}) while n < 0    // a stop and continue of the process interrupts it
 * exit(0)
 * ```
 * A process with id 1 never gets a signal that it neither handles nor blocks; a blocked one waits to be fetched, so no
 * handler is needed.
 */

// Both kernels number these alike. A sigset has bit n-1 for signal n.
const sigchld = 17
const waitedSignals = (1n << (15n - 1n)) | (1n << (2n - 1n))
const sigsetBytes = 8

/** `struct sigaction { handler, flags, restorer, mask }` with SIG_IGN, then the sigset: both machines have this layout. */
const data = ((): Buffer => {
  const bytes = Buffer.alloc(32 + sigsetBytes)
  bytes.writeBigUInt64LE(1n, 0)
  bytes.writeBigUInt64LE(waitedSignals, 32)
  return bytes
})()
const actionAt = 0
const setAt = 32

/** A byte sequence that may depend on where it stands and where the data begins. */
type Instruction = { readonly size: number; readonly encode: (at: number, dataAt: number) => readonly number[] }

const fixed = (...bytes: readonly number[]): Instruction => ({ size: bytes.length, encode: () => bytes })
const int32 = (value: number): readonly number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >> 24) & 255]

/** x86-64: the call's number in eax, arguments in rdi, rsi, rdx, r10. */
const x64 = {
  /** mov eax, n */
  number: (n: number) => fixed(0xb8, ...int32(n)),
  /** mov edi, n */
  firstIs: (n: number) => fixed(0xbf, ...int32(n)),
  /** xor edi, edi */
  firstIsZero: fixed(0x31, 0xff),
  /** lea rdi, [rip + …] */
  firstIsData: (offset: number) => x64.lea(0x3d, offset),
  /** xor esi, esi */
  secondIsZero: fixed(0x31, 0xf6),
  /** lea rsi, [rip + …] */
  secondIsData: (offset: number) => x64.lea(0x35, offset),
  /** xor edx, edx */
  thirdIsZero: fixed(0x31, 0xd2),
  /** mov r10d, n */
  fourthIs: (n: number) => fixed(0x41, 0xba, ...int32(n)),
  syscall: fixed(0x0f, 0x05),
  /** test eax, eax; js back over `bytes` and this */
  againIfNegative: (bytes: number) => fixed(0x85, 0xc0, 0x78, -(bytes + 4) & 255),
  lea: (register: number, offset: number): Instruction => ({
    size: 7,
    encode: (at, dataAt) => [0x48, 0x8d, register, ...int32(dataAt + offset - (at + 7))],
  }),
}

function x64Program(): readonly Instruction[] {
  const wait = [x64.number(128), x64.firstIsData(setAt), x64.secondIsZero, x64.thirdIsZero, x64.fourthIs(sigsetBytes), x64.syscall]
  return [
    x64.number(13),
    x64.firstIs(sigchld),
    x64.secondIsData(actionAt),
    x64.thirdIsZero,
    x64.fourthIs(sigsetBytes),
    x64.syscall,
    x64.number(14),
    x64.firstIsZero,
    x64.secondIsData(setAt),
    x64.thirdIsZero,
    x64.fourthIs(sigsetBytes),
    x64.syscall,
    ...wait,
    x64.againIfNegative(sizeOf(wait)),
    x64.number(60),
    x64.firstIsZero,
    x64.syscall,
  ]
}

/** arm64: the call's number in x8, arguments in x0 to x3; every instruction has four bytes. */
const arm64 = {
  /** movz x`register`, #n */
  set: (register: number, n: number) => fixed(...int32(0xd2800000 | (n << 5) | register)),
  /** adr x`register`, … */
  setData: (register: number, offset: number): Instruction => ({
    size: 4,
    encode: (at, dataAt) => {
      const distance = dataAt + offset - at
      return int32(0x10000000 | ((distance & 3) << 29) | ((distance >> 2) << 5) | register)
    },
  }),
  /** svc #0 */
  syscall: fixed(...int32(0xd4000001)),
  /** tbnz x0, #63, back over `bytes` */
  againIfNegative: (bytes: number) => fixed(...int32(0xb7f80000 | ((-(bytes / 4) & 0x3fff) << 5))),
}

function arm64Program(): readonly Instruction[] {
  const { set, setData, syscall } = arm64
  const wait = [set(8, 137), setData(0, setAt), set(1, 0), set(2, 0), set(3, sigsetBytes), syscall]
  return [
    set(8, 134),
    set(0, sigchld),
    setData(1, actionAt),
    set(2, 0),
    set(3, sigsetBytes),
    syscall,
    set(8, 135),
    set(0, 0),
    setData(1, setAt),
    set(2, 0),
    set(3, sigsetBytes),
    syscall,
    ...wait,
    arm64.againIfNegative(sizeOf(wait)),
    set(8, 93),
    set(0, 0),
    syscall,
  ]
}

const sizeOf = (code: readonly Instruction[]): number => code.reduce((total, { size }) => total + size, 0)

/** Machines that there is a program for, by Node's names. */
export type PauseArchitecture = 'x64' | 'arm64'

const machines = {
  x64: { elf: 62, program: x64Program },
  arm64: { elf: 183, program: arm64Program },
} as const

/** The machine code and its data, as they stand in the file. */
export function pauseCode(architecture: PauseArchitecture): Buffer {
  const code = machines[architecture].program()
  const dataAt = Math.ceil(sizeOf(code) / 8) * 8
  const bytes: number[] = []
  for (const instruction of code) append(bytes, instruction.encode(bytes.length, dataAt))
  return Buffer.concat([Buffer.from(bytes), Buffer.alloc(dataAt - bytes.length), data])
}

const fileHeaderBytes = 64
const programHeaderBytes = 56
const loadAddress = 0x400000

/** A static executable: file header, one loadable segment that is the whole file, code. */
export function pauseProgram(architecture: PauseArchitecture): Buffer {
  const code = pauseCode(architecture)
  const start = fileHeaderBytes + programHeaderBytes
  const file = Buffer.alloc(start + code.length)
  file.write('\x7fELF', 0, 'latin1')
  file.set([2, 1, 1], 4) // 64 bits, little endian, version 1
  file.writeUInt16LE(2, 16) // an executable
  file.writeUInt16LE(machines[architecture].elf, 18)
  file.writeUInt32LE(1, 20) // version
  file.writeBigUInt64LE(BigInt(loadAddress + start), 24) // entry
  file.writeBigUInt64LE(BigInt(fileHeaderBytes), 32) // program headers
  file.writeUInt16LE(fileHeaderBytes, 52)
  file.writeUInt16LE(programHeaderBytes, 54)
  file.writeUInt16LE(1, 56) // how many
  const segment = file.subarray(fileHeaderBytes)
  segment.writeUInt32LE(1, 0) // load
  segment.writeUInt32LE(5, 4) // read and execute
  segment.writeBigUInt64LE(BigInt(loadAddress), 16)
  segment.writeBigUInt64LE(BigInt(loadAddress), 24)
  segment.writeBigUInt64LE(BigInt(file.length), 32) // in the file
  segment.writeBigUInt64LE(BigInt(file.length), 40) // in memory
  segment.writeBigUInt64LE(0x10000n, 48) // alignment: arm64 may have pages of 64 KiB
  code.copy(file, start)
  return file
}
