import { ConveyorError } from "../errors.ts"
import { commitBytesMax, type Guard, operationsMax, type Write } from "./store.ts"

/** Throws `INVALID` unless `key` can be stored: not empty, and well-formed Unicode. */
export function checkKey(key: string): void {
  if (key === "") throw new ConveyorError("INVALID", "A key must not be empty")
  checkText("key", key)
}

/** Throws `INVALID` for a lone surrogate: no backend could give the same text back. */
export function checkText(what: "key" | "prefix" | "value", text: string): void {
  if (!text.isWellFormed()) throw new ConveyorError("INVALID", `A ${what} must be well-formed Unicode`)
}

/** Throws unless a commit keeps to what {@link Store.commit} asks, whatever is in the store. */
export function checkCommit(guards: readonly Guard[], writes: readonly Write[]): void {
  const operations = guards.length + writes.length
  if (operations > operationsMax)
    throw new ConveyorError(
      "TOO_LARGE",
      `A commit holds at most ${operationsMax} operations, not ${operations}`,
    )
  for (const guard of guards) checkKey(guard.key)
  for (const write of writes) {
    checkKey(write.key)
    if (write.type === "put") checkText("value", write.value)
  }
  checkWrittenOnce(writes)
  checkBytes(guards, writes)
}

function checkWrittenOnce(writes: readonly Write[]): void {
  if (writes.length < 2) return
  const keys = new Set<string>()
  for (const { key } of writes) keys.add(key)
  if (keys.size < writes.length) throw new ConveyorError("INVALID", "A commit writes a key at most once")
}

function checkBytes(guards: readonly Guard[], writes: readonly Write[]): void {
  let units = 0
  for (const guard of guards) units += guard.key.length
  for (const write of writes) units += write.key.length + (write.type === "put" ? write.value.length : 0)
  // A UTF-16 unit takes at most three bytes of UTF-8, so nearly every commit is known to fit without counting.
  if (units * 3 <= commitBytesMax) return
  let bytes = 0
  for (const guard of guards) bytes += Buffer.byteLength(guard.key)
  for (const write of writes)
    bytes += Buffer.byteLength(write.key) + (write.type === "put" ? Buffer.byteLength(write.value) : 0)
  if (bytes > commitBytesMax)
    throw new ConveyorError("TOO_LARGE", `A commit holds at most ${commitBytesMax} bytes, not ${bytes}`)
}
