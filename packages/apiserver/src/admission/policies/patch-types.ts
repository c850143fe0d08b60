import { listOf, type CelType } from '@k3s/cel'

const object = (name: string): CelType => ({ kind: 'object', name, fields: new Map() })

/** What the expression of an apply configuration must give. */
export const applyConfigurationTypes: readonly CelType[] = [object('Object')]
/** What the expression of a JSON patch must give. */
export const jsonPatchTypes: readonly CelType[] = [listOf(object('JSONPatch'))]
