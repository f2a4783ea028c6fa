/**
 * Waits until `condition` answers something other than undefined or false, and answers that. It looks again every few
 * milliseconds; what it waits for is the condition, and `timeoutMs` only bounds a test that would hang. `what` is the
 * sentence of the failure.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 20_000,
): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const answer = await condition()
    if (answer !== undefined && answer !== false) return answer as Exclude<T, undefined | false>
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain until ${what}`)
    await Bun.sleep(5)
  }
}
