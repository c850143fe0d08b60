/** The code of the thread that reads YAML for an API server. Not to be imported; `YamlReader` starts it. */
import { parentPort } from 'node:worker_threads'
import { isStatusError, readYamlText } from '@k3s/api'
import type { YamlAnswer, YamlJob } from './yaml-reader.ts'

function read({ id, bytes }: YamlJob): YamlAnswer {
  try {
    const { value, duplicates } = readYamlText(Buffer.from(bytes).toString('utf8'))
    return { id, json: Buffer.from(JSON.stringify(value ?? null)), duplicates }
  } catch (error) {
    if (isStatusError(error)) return { id, refused: error.message }
    // Aliases make of a small document one that is longer than any text may be.
    if (error instanceof RangeError) return { id, refused: 'error converting YAML to JSON: yaml: document contains excessive aliasing' }
    throw error
  }
}

parentPort?.on('message', (job: YamlJob) => parentPort?.postMessage(read(job)))
