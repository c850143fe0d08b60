import { type Binding, bindings } from '@k3s/api/types/core/v1'
import type { ResourceOperations, ResourceStrategy } from '../../registry/strategy.ts'
import { podBinding } from '../pods/binding.ts'

/** POST to `bindings`: the old way to bind a pod. The answer is a Status. */
export function bindingStrategy(operations: ResourceOperations): ResourceStrategy<Binding> {
  return {
    type: bindings,
    async review(binding, scope, signal) {
      const answer = await podBinding.handle({
        verb: 'create',
        name: binding.metadata.name,
        body: binding,
        query: new URLSearchParams(),
        scope,
        signal,
        operations,
      })
      // Clients read it by its kind.
      return answer as Binding
    },
  }
}
