import { describeDatastore } from '../conformance/index.ts'
import { openDatastore } from '../open.ts'

describeDatastore('memory', { create: (options) => openDatastore('memory:', options), supports: { restart: false, clock: true } })
