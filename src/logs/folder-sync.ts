import { syncFolder } from "../files/write-durably.ts"

/**
 * Makes the names of new files in a folder durable. Callers that come while a sync is under way share the next one,
 * because the one under way may have begun before their file was there.
 */
export function folderSync(folder: string): () => Promise<void> {
  let current: Promise<void> | undefined
  let next: Promise<void> | undefined

  function begin(): Promise<void> {
    const sync = syncFolder(folder).finally(() => {
      if (current === sync) current = undefined
    })
    current = sync
    return sync
  }

  return () => {
    if (current === undefined) return begin()
    next ??= current
      .catch(() => {})
      .then(() => {
        next = undefined
        return begin()
      })
    return next
  }
}
