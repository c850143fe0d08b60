import { describeDatastore } from '../conformance/index.ts'
import { openDatastore } from '../open.ts'
import { openRestored } from '../snapshot/restore.ts'

describeDatastore('memory', {
  create: (options) => openDatastore('memory:', options),
  restore: (chunks, options) => openRestored('memory:', chunks, options),
  supports: { restart: false, clock: true },
})
