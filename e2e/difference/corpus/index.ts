import type { Area } from '../case.ts'
import { badMetadata } from './bad-metadata.ts'
import { fields, schemas } from './fields.ts'
import { life } from './life.ts'

/** The whole corpus, in the order in which it runs. */
export const areas: readonly Area[] = [life, badMetadata, fields, schemas]
