import { open } from 'node:fs/promises'
import type { ContainerStatus } from '@k3s/cri-client'
import { annotation } from './labels.ts'

// Upstream's limits: what a container wrote itself, and what is taken from the end of its log instead.
const maxMessageBytes = 4096
const maxLogBytes = 2048
const maxLogLines = 80

/**
 * Why a container ended, in its own words: the file at its termination message path or, with the policy FallbackToLogsOnError and a failure,
 * the end of its log. Falls back to the runtime's own message; never throws.
 */
export async function readTerminationMessage(status: ContainerStatus, annotations: Readonly<Record<string, string>>): Promise<string> {
  const path = annotations[annotation.terminationMessagePath]
  const mount = status.mounts.find(({ containerPath }) => containerPath === path)
  const own = mount === undefined ? '' : await readEnd(mount.hostPath, maxMessageBytes)
  if (own !== '') return own
  const failed = status.exitCode !== 0
  if (annotations[annotation.terminationMessagePolicy] === 'FallbackToLogsOnError' && failed) {
    const log = await readEnd(status.logPath, maxLogBytes * 4)
    const lines = log
      .split('\n')
      .filter((line) => line !== '')
      .slice(-maxLogLines)
      .map((line) => logText(line))
      .join('')
    if (lines !== '') return lines.slice(-maxLogBytes)
  }
  return status.message
}

/** The text of one line of a CRI log: `TIME STREAM TAG TEXT`; a partial line goes without its line feed. */
function logText(line: string): string {
  const match = /^\S+ (?:stdout|stderr) (\S+) (.*)$/.exec(line)
  if (match === null) return ''
  return match[1] === 'P' ? (match[2] ?? '') : `${match[2] ?? ''}\n`
}

async function readEnd(path: string, maxBytes: number): Promise<string> {
  try {
    await using file = await open(path, 'r')
    const { size } = await file.stat()
    const length = Math.min(size, maxBytes)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.subarray(0, bytesRead).toString('utf8')
  } catch {
    return '' // the file is gone with its pod's directory, or was never made: there is no message then
  }
}
