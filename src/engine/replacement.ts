import { isEnded, type Run } from "../model/run.ts"
import { runKey } from "../store/keys.ts"
import type { Store } from "../store/store.ts"

/** Asks for a run to be cancelled because another one takes its place. One that has ended, or is asked already, stays. */
export async function requestReplacement(
  store: Store,
  runId: string,
  { by }: { readonly by: string },
): Promise<void> {
  const key = runKey(runId)
  for (;;) {
    const entry = await store.get(key)
    const run = entry && (JSON.parse(entry.value) as Run)
    if (entry === undefined || run === undefined || isEnded(run.status)) return
    if (run.cancelRequestedAt !== undefined) return
    const value = JSON.stringify({ ...run, cancelRequestedAt: new Date().toISOString(), replacedBy: by })
    const guards = [{ key, modRevision: entry.modRevision }]
    if ((await store.commit(guards, [{ type: "put", key, value }])) !== undefined) return
  }
}
