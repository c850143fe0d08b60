import type { Area, Case, Step } from './case.ts'
import { compare, type Difference } from './compare.ts'
import { exceptionFor, type Exception } from './exceptions.ts'
import type { Answers } from './run.ts'

/** A request that was answered differently. */
export interface Finding {
  readonly one: Case
  readonly step: Step
  readonly differences: readonly Difference[]
  /** The written reason, when there is one for every difference. */
  readonly exception: Exception | undefined
}

/** What differs between the answers of two servers, in the order of the corpus. Throws when one has not run a case. */
export function findingsOf(areas: readonly Area[], expected: Answers, actual: Answers): Finding[] {
  return areas
    .flatMap(({ cases }) => cases)
    .flatMap((one) => {
      const [theirs, ours] = [expected.get(one.name), actual.get(one.name)]
      if (theirs?.length !== one.steps.length || ours?.length !== one.steps.length)
        throw new Error(`Case "${one.name}" has other requests than were recorded: record it again`)
      return one.steps.flatMap((step, index) => {
        const all = compare(theirs[index], ours[index])
        if (all.length === 0) return []
        const excused = all.map((difference) => exceptionFor(one, step, difference))
        const differences = all.filter((_, position) => excused[position] === undefined)
        return [
          {
            one,
            step,
            differences: differences.length === 0 ? all : differences,
            exception: differences.length === 0 ? excused[0] : undefined,
          },
        ]
      })
    })
}
