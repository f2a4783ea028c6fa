import { ConveyorError } from "../errors.ts"
import { type IdempotencyRecord, isRemembered, type StartedAnswer } from "../model/idempotency.ts"
import { canonicalJson, type Json } from "../model/json.ts"
import { idempotencyKey } from "../store/keys.ts"
import type { Entry, Guard, Store, Write } from "../store/store.ts"
import type { ApiContext } from "./route.ts"

const header = "Idempotency-Key"
/** Says that an answer is the one the first request got. */
export const replayedHeader = "Idempotency-Replayed"

/** A request that may come twice. */
export interface Submission {
  readonly request: Request
  /** What a key is for: the same key elsewhere is another key. */
  readonly scope: string
  /** The body as it was understood. */
  readonly body: object
}

/** What a commit has to take along so that a repeat of its request is known. Nothing for a request without a key. */
export interface FirstUse<Answer extends StartedAnswer> {
  readonly guards: readonly Guard[]
  writes(answer: Answer): readonly Write[]
  /** After a conflict: has another request with this key been first? */
  isLost(): Promise<boolean>
}

/**
 * Does what is asked for once for each key a client sends: `act` commits it together with what {@link FirstUse} asks,
 * and answers undefined when another request with the same key was first. A repeat is answered as the first request
 * was. Only what was committed is remembered, so a request that was refused may come again with its key. Rejects with
 * `INVALID` for what cannot be a key, and for one that came with another body. Without a key `act` is simply done.
 */
export async function once<Answer extends StartedAnswer>(
  { store, now }: ApiContext,
  submission: Submission,
  act: (first: FirstUse<Answer>) => Promise<Answer | undefined>,
): Promise<{ readonly answer: Answer; readonly replayed: boolean }> {
  const name = keyOf(submission.request)
  if (name === undefined) {
    const answer = await act({ guards: [], writes: () => [], isLost: async () => false })
    if (answer === undefined) throw new Error("A request without a key must not lose to another")
    return { answer, replayed: false }
  }
  const key = idempotencyKey(sha256(`${submission.scope}\n${name}`))
  const bodyHash = sha256(canonicalJson(submission.body as Json))
  for (;;) {
    const entry = await store.get(key)
    const record = entry === undefined ? undefined : (JSON.parse(entry.value) as IdempotencyRecord)
    const at = now()
    if (record !== undefined && isRemembered(record, at)) {
      if (record.bodyHash !== bodyHash) throw otherBody(name, record)
      return { answer: record.response as Answer, replayed: true }
    }
    const answer = await act(firstUse(store, { key, entry, bodyHash, createdAt: at.toISOString() }))
    if (answer !== undefined) return { answer, replayed: false }
  }
}

interface KeyUse {
  readonly key: string
  /** What is left of a use that is too long ago. */
  readonly entry: Entry | undefined
  readonly bodyHash: string
  readonly createdAt: string
}

function firstUse<Answer extends StartedAnswer>(
  store: Store,
  { key, entry, bodyHash, createdAt }: KeyUse,
): FirstUse<Answer> {
  const modRevision = entry?.modRevision ?? 0
  return {
    guards: [{ key, modRevision }],
    writes(response) {
      const record: IdempotencyRecord = {
        ...(response.runid === "" ? {} : { runId: response.runid }),
        response,
        bodyHash,
        createdAt,
      }
      return [{ type: "put", key, value: JSON.stringify(record) }]
    },
    isLost: async () => ((await store.get(key))?.modRevision ?? 0) !== modRevision,
  }
}

/** The key of a request; undefined without one. */
function keyOf(request: Request): string | undefined {
  const key = request.headers.get(header)
  if (key === null || /^[!-~]{1,255}$/.test(key)) return key ?? undefined
  throw new ConveyorError("INVALID", `The header ${header} does not validate`, {
    faults: [{ message: `${header}: expected 1 to 255 visible ASCII characters` }],
  })
}

function otherBody(key: string, { createdAt, runId }: IdempotencyRecord): ConveyorError {
  const run = runId === undefined ? "" : ` and started the run ${runId}`
  return new ConveyorError(
    "INVALID",
    `The ${header} ${JSON.stringify(key)} came with another body at ${createdAt}${run}; use another key`,
  )
}

function sha256(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex")
}
