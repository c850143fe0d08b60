import type { Area } from '../case.ts'
import { badMetadata } from './bad-metadata.ts'
import { custom } from './custom.ts'
import { definitions } from './definitions.ts'
import { devices } from './devices.ts'
import { fields, schemas } from './fields.ts'
import { life } from './life.ts'
import { lists } from './lists.ts'
import { owners } from './owners.ts'
import { patches } from './patches.ts'
import { queries } from './queries.ts'
import { semantics } from './semantics.ts'
import { protocol } from './protocol.ts'

/** The whole corpus, in the order in which it runs. */
export const areas: readonly Area[] = [
  protocol,
  lists,
  semantics,
  life,
  badMetadata,
  fields,
  schemas,
  owners,
  patches,
  devices,
  definitions,
  queries,
  custom,
]
