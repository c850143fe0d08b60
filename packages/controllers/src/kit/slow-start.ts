/**
 * Calls `work` for 0 to `count` - 1 in parallel batches of 1, 2, 4, … and stops after a batch in which something failed, so that work that
 * cannot succeed costs few requests. Gives the number of calls that were made, those that succeeded, and the first error.
 */
export async function slowStart(
  count: number,
  work: (index: number) => Promise<void>,
): Promise<{ readonly attempted: number; readonly succeeded: number; readonly error: unknown }> {
  let [attempted, succeeded, size] = [0, 0, 1]
  while (attempted < count) {
    const batch = Array.from({ length: Math.min(size, count - attempted) }, (_, i) => attempted + i)
    const results = await Promise.allSettled(batch.map((index) => work(index)))
    attempted += batch.length
    const failures = results.filter((result) => result.status === 'rejected')
    succeeded += results.length - failures.length
    if (failures[0] !== undefined) return { attempted, succeeded, error: failures[0].reason }
    size *= 2
  }
  return { attempted, succeeded, error: undefined }
}
