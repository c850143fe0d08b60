import { dropAlphaTemplateFields } from '../pods/alpha-fields.ts'
import { type PodTemplate, podtemplates } from '@k3s/api/types/core/v1'
import type { ResourceStrategy } from '../../registry/strategy.ts'
import { templateRules } from '../pods/rules.ts'
import { validatePodTemplate } from '../pods/validation.ts'
import { column, nameColumn } from '../shared/columns.ts'
import { formatLabels } from '../shared/label-selector.ts'
import { defaultTemplate } from '../workloads/template.ts'
import { templateWarnings } from '../workloads/template-warnings.ts'

const warnings = templateWarnings<PodTemplate>(({ template }) => template, { field: 'template' })

/** Rules for pod templates that stand by themselves. */
export const podTemplateStrategy: ResourceStrategy<PodTemplate> = {
  type: podtemplates,
  hasGeneration: true,
  defaults: ({ template }) => defaultTemplate(template),
  prepareForCreate: ({ template }) => dropAlphaTemplateFields(template),
  warningsOnCreate: warnings.onCreate,
  update: {
    prepare: ({ template }, previous) => dropAlphaTemplateFields(template, previous.template),
    warnings: warnings.onUpdate,
  },
  validate: ({ template }) => validatePodTemplate(template ?? {}, 'template', templateRules),
  columns: [
    nameColumn(),
    column('Containers', ({ template }) => (template?.spec?.containers ?? []).map(({ name }) => name).join(',')),
    column('Images', ({ template }) => (template?.spec?.containers ?? []).map(({ image }) => image ?? '').join(',')),
    column('Pod Labels', ({ template }) => formatLabels(template?.metadata?.labels)),
  ],
}
