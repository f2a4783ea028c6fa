import { expect } from "bun:test"
import { ConveyorError, type ErrorCode } from "../../src/errors.ts"
import type { Change, Revision, Store, Write } from "../../src/store/store.ts"

export function put(key: string, value: string): Write {
  return { type: "put", key, value }
}

export function remove(key: string): Write {
  return { type: "delete", key }
}

/** Commits without guards, and answers the revision. */
export async function write(store: Store, ...writes: readonly Write[]): Promise<Revision> {
  const revision = await store.commit([], writes)
  if (revision === undefined) throw new Error("A commit without guards must not conflict")
  return revision
}

/** The batches of a watch until they hold `count` changes. */
export async function batches(
  store: Store,
  options: { readonly prefix?: string; readonly since: Revision; readonly count: number },
): Promise<(readonly Change[])[]> {
  const { prefix = "", since, count } = options
  const seen: (readonly Change[])[] = []
  let left = count
  for await (const batch of store.watch(prefix, since, new AbortController().signal)) {
    seen.push(batch)
    left -= batch.length
    if (left <= 0) break
  }
  return seen
}

/** The first `count` changes of a watch. */
export async function changes(...parameters: Parameters<typeof batches>): Promise<Change[]> {
  return (await batches(...parameters)).flat()
}

/** `key=value` or `-key`: a change as a word that a test can compare. */
export function wordOf(change: Change): string {
  return change.type === "put" ? `${change.entry.key}=${change.entry.value}` : `-${change.key}`
}

export function revisionOf(change: Change): Revision {
  return change.type === "put" ? change.entry.modRevision : change.modRevision
}

/** Expects a rejection with a code, and answers the error. */
export async function rejection(code: ErrorCode, promise: Promise<unknown>): Promise<ConveyorError> {
  const error: unknown = await promise.then(
    (answer) => new Error(`It answered ${JSON.stringify(answer)}`),
    (reason: unknown) => reason,
  )
  if (!(error instanceof ConveyorError)) throw error
  expect(error.code).toBe(code)
  return error
}
