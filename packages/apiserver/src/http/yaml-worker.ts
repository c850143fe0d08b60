/** The code of the threads that read YAML and work on large objects for an API server. Not to be imported; `JobThread` starts it. */
import { parentPort } from 'node:worker_threads'
import { badRequest, isStatusError, readYamlText } from '@k3s/api'
import { parsedJson, yamlText } from '../body-text.ts'
import type { HeavyJobs } from '../off-loop/heavy-jobs.ts'
import type { Job, JobAnswer } from '../off-loop/job-thread.ts'
import type { YamlOutput } from './yaml-reader.ts'

function readYaml(bytes: Uint8Array): YamlOutput {
  try {
    const text = yamlText(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
    // kubectl sends JSON as YAML.
    if (parsedJson(text) !== undefined) return { json: bytes, duplicates: [] }
    const { value, duplicates } = readYamlText(text)
    return { json: Buffer.from(JSON.stringify(value ?? null)), duplicates }
  } catch (error) {
    // Aliases make of a small document one that is longer than any text may be.
    if (error instanceof RangeError) throw badRequest('error converting YAML to JSON: yaml: document contains excessive aliasing')
    throw error
  }
}

/** Made with the first job that asks for it: YAML needs no rules. */
const heavy: { jobs: Promise<HeavyJobs> | undefined } = { jobs: undefined }

async function outputOf({ kind, input }: Job): Promise<unknown> {
  if (kind === 'yaml') return readYaml(input as Uint8Array) // bytes of a body
  heavy.jobs ??= import('../off-loop/heavy-jobs.ts').then((module) => new module.HeavyJobs())
  return (await heavy.jobs).run(kind, input)
}

async function answer(job: Job): Promise<JobAnswer> {
  try {
    return { id: job.id, output: await outputOf(job) }
  } catch (error) {
    if (isStatusError(error)) return { id: job.id, refused: error.toStatus() }
    return { id: job.id, failed: error instanceof Error ? error : new Error(String(error)) }
  }
}

parentPort?.on('message', (job: Job) => void answer(job).then((done) => parentPort?.postMessage(done)))
