import type { Etcd3 } from "etcd3"
import { asStoreError, isLate, isLost, wasNotSent } from "./etcd-client.ts"
import type { EtcdMembers } from "./etcd-members.ts"

/** When a call is given up, as gRPC wants it: milliseconds of the wall clock. */
export interface CallLimit {
  readonly deadline: number
}

const triesMin = 3
const retryMs = 50

/**
 * Runs one call on etcd, within `callMsMax` however often it is tried. What is `repeatable` is tried again when the
 * connection broke or a member hung and there is another, and anything is that never left this process. Throws
 * `STORE_UNAVAILABLE` when etcd does not answer; an answer that says no is thrown as it is.
 */
export async function call<T>(
  members: EtcdMembers,
  kind: "repeatable" | "once",
  run: (client: Etcd3, limit: CallLimit) => Promise<T>,
): Promise<T> {
  const { callMsMax } = members
  const end = Date.now() + callMsMax
  // What may be repeated does not spend all its time on a member that hangs.
  const tryMs = kind === "repeatable" && members.count > 1 ? callMsMax / 2 : callMsMax
  for (let attempt = 1; ; attempt++) {
    const { client } = members.current
    const deadline = Math.min(end, Date.now() + tryMs)
    try {
      return await run(client, { deadline })
    } catch (error) {
      if (isLost(error)) members.leave(client)
      const isOver = attempt >= Math.max(triesMin, members.count) || (isLate(error) && deadline === end)
      const mayRepeat = wasNotSent(error) || (kind === "repeatable" && isLost(error))
      if (isOver || !mayRepeat) throw asStoreError(error, members)
      await Bun.sleep(retryMs * attempt)
    }
  }
}

/**
 * Asks the members in turn, the next one whenever `patienceMs` are over without an answer, and takes the first answer:
 * for what must not wait for a member that hangs, and does no harm twice. Throws as {@link call} does.
 */
export async function callAny<T>(
  members: EtcdMembers,
  patienceMs: number,
  run: (client: Etcd3, limit: CallLimit) => Promise<T>,
): Promise<T> {
  const limit = { deadline: Date.now() + members.callMsMax }
  const asked: Promise<{ readonly client: Etcd3; readonly answer: T }>[] = []
  for (const client of members.inTurn()) {
    asked.push(run(client, limit).then((answer) => ({ client, answer })))
    const isAnswered = Promise.any(asked).then(
      () => true,
      () => false,
    )
    if (await Promise.race([isAnswered, Bun.sleep(patienceMs).then(() => false)])) break
  }
  try {
    const { client, answer } = await Promise.any(asked)
    members.turnTo(client)
    return answer
  } catch (error) {
    throw asStoreError(error instanceof AggregateError ? error.errors[0] : error, members)
  }
}
