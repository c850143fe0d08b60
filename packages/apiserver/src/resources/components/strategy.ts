import { type ComponentStatus, componentstatuses } from '@k3s/api/types/core/v1'
import type { ResourceStrategy } from '../../registry/strategy.ts'
import { column, nameColumn } from '../shared/columns.ts'

const healthy = ({ conditions }: ComponentStatus) => conditions?.find(({ type }) => type === 'Healthy')

function statusText(component: ComponentStatus): string {
  const condition = healthy(component)
  if (condition === undefined) return 'Unknown'
  return condition.status === 'True' ? 'Healthy' : 'Unhealthy'
}

/** How component statuses are shown. */
export const componentStatusStrategy: ResourceStrategy<ComponentStatus> = {
  type: componentstatuses,
  hasGeneration: false,
  columns: [
    nameColumn(),
    column('Status', statusText),
    column('Message', (component) => healthy(component)?.message ?? ''),
    column('Error', (component) => healthy(component)?.error ?? ''),
  ],
}
