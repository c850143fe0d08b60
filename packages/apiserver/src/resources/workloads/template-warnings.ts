import type { KubernetesObject } from '@k3s/api'
import type { PodTemplateSpec } from '@k3s/api/types/core/v1'
import { podWarnings } from '../pods/warnings.ts'
import { podNameWarnings } from './name-warnings.ts'

export interface TemplateWarnings<T> {
  onCreate(object: T): readonly string[]
  /** Only a change that counts is looked at. */
  onUpdate(object: T, previous: T): readonly string[]
}

/** What users are warned of about the template of an object that makes pods. `namesPods`: they are named after it. */
export function templateWarnings<T extends KubernetesObject>(
  templateOf: (object: T) => PodTemplateSpec | undefined,
  { field = 'spec.template', namesPods = false }: { readonly field?: string; readonly namesPods?: boolean } = {},
): TemplateWarnings<T> {
  const ofTemplate = (object: T): readonly string[] => {
    const template = templateOf(object)
    return template?.spec === undefined ? [] : podWarnings(template.spec, template.metadata ?? {}, field)
  }
  return {
    onCreate: (object) => [...(namesPods ? podNameWarnings(object) : []), ...ofTemplate(object)],
    onUpdate: (object, previous) => (object.metadata.generation === previous.metadata.generation ? [] : ofTemplate(object)),
  }
}
