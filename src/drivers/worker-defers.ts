import { messageOf } from "../errors.ts"
import { isJsonObject, type JsonObject } from "../model/json.ts"
import { isName, nameRule } from "../model/name.ts"
import type { DeferAnswer } from "./protocol.ts"
import { asJson } from "./result.ts"

/** The `ctx.defer` of one attempt inside a worker. */
export interface WorkerDefers {
  /** As `ctx.defer` promises. */
  defer(driver: string, input?: unknown): Promise<void>
  /** Takes what the host says of a request. */
  receive(id: number, answer: DeferAnswer): void
  /** Resolves when all that was asked for is written down. Rejects when something of it cannot be. */
  settled(): Promise<void>
}

interface Request {
  readonly driver: string
  readonly input: JsonObject
}

/** Sends each request with a number of its own, until the attempt is over. */
export function createWorkerDefers({
  send,
  isOver,
}: {
  readonly send: (request: Request & { readonly id: number }) => void
  readonly isOver: () => boolean
}): WorkerDefers {
  const waiting = new Map<
    number,
    { readonly take: (answer: DeferAnswer) => void; readonly kept: Promise<void> }
  >()
  let lastId = 0

  function ask(request: Request): Promise<void> {
    const id = ++lastId
    const { promise, resolve } = Promise.withResolvers<DeferAnswer>()
    const kept = promise.then((answer) => {
      if (answer.type === "refused") throw new Error(answer.message)
    })
    waiting.set(id, { take: resolve, kept })
    send({ id, ...request })
    return kept
  }

  return {
    // Not async: what `settled` waits for must be the promise the driver has, or a refusal would be nobody's.
    defer(driver, input = {}) {
      try {
        const request = checkRequest(driver, input)
        if (isOver()) throw new Error(`Cannot defer "${driver}": the attempt is over`)
        return ask(request)
      } catch (error) {
        return Promise.reject(error)
      }
    },
    receive(id, answer) {
      waiting.get(id)?.take(answer)
      waiting.delete(id)
    },
    async settled() {
      await Promise.all([...waiting.values()].map(({ kept }) => kept))
    },
  }
}

function checkRequest(driver: unknown, input: unknown): Request {
  if (typeof driver !== "string" || !isName(driver)) {
    throw new TypeError(`ctx.defer takes a driver's name (${nameRule}), and was given ${Bun.inspect(driver)}`)
  }
  if (!isJsonObject(input)) {
    throw new TypeError(
      `ctx.defer takes an object as the driver's input, and was given ${Bun.inspect(input)}`,
    )
  }
  try {
    return { driver, input: asJson(input, "input") as JsonObject }
  } catch (error) {
    throw new TypeError(`ctx.defer was given an input that is not JSON: ${messageOf(error)}`)
  }
}
