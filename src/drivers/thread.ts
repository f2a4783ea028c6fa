import { messageOf } from "../errors.ts"
import type { AttemptResult, DriverSchemas } from "../model/driver.ts"
import type { JsonObject } from "../model/json.ts"
import type {
  AttemptContext,
  DeferAnswer,
  ExecAnswer,
  FromWorker,
  LoadedDriver,
  ToWorker,
} from "./protocol.ts"
import { failure } from "./result.ts"
import type { ExecOptions } from "./sdk.ts"

/** How long a worker may take to answer an abort before its driver counts as blocking the thread. */
const answerMsMax = 1_000

/** What an attempt in a worker asks of the host. */
export interface AttemptRequests {
  /** Resolves when the message is durable. Called in the order of the driver's calls. */
  log(message: string): Promise<void>
  exec(command: readonly string[], options: ExecOptions): Promise<ExecAnswer>
  /** Resolves when it is written down; rejects when it cannot be. */
  defer(driver: string, input: JsonObject): Promise<void>
}

interface Running extends AttemptRequests {
  readonly serial: number
  readonly settle: (result: AttemptResult) => void
  logged: number
  acknowledging: boolean
  /** Runs out when the worker does not answer an abort. */
  blockedTimer?: Timer
}

/**
 * A worker thread with one driver loaded, running one attempt at a time. When it breaks (something uncaught, an exit,
 * a crash), its attempt settles as failed, and it is over: `ended` is true and it must not be given another attempt.
 */
export class DriverThread implements Disposable {
  readonly #worker: Worker
  readonly #loaded = Promise.withResolvers<LoadedDriver | string>()
  readonly #described = Promise.withResolvers<DriverSchemas>()
  #running: Running | undefined
  #serial = 0
  /** Why it is over; undefined while it is alive. */
  #endMessage: string | undefined

  constructor({ entry, file }: { readonly entry: string | URL; readonly file: string }) {
    this.#worker = new Worker(entry)
    this.#worker.onmessage = ({ data }: MessageEvent<string>) => this.#receive(JSON.parse(data))
    this.#worker.onerror = (event) => {
      event.preventDefault()
      void this.#running?.log(event.message)
      this.end(`Nothing caught what the driver threw: ${summaryOf(event.message)}`)
    }
    this.#worker.addEventListener("close", (event) => {
      const code = (event as unknown as { readonly code: number }).code
      this.end(`The driver ended its worker with exit code ${code} (process.exit or a crash)`)
    })
    this.#send({ type: "load", file })
  }

  /** What the module says of itself, or a sentence on why it could not be loaded. Never rejects. */
  get loaded(): Promise<LoadedDriver | string> {
    return this.#loaded.promise
  }

  get ended(): boolean {
    return this.#endMessage !== undefined
  }

  /** What the driver takes and gives; nothing when the thread ends before it has said so. Never rejects. */
  describe(): Promise<DriverSchemas> {
    this.#send({ type: "describe" })
    return this.#described.promise
  }

  /** Runs one attempt. Never rejects. Only one at a time. In a thread that has ended the attempt fails and says why. */
  run(context: AttemptContext, requests: AttemptRequests): Promise<AttemptResult> {
    if (this.#endMessage !== undefined) return Promise.resolve(failure(this.#endMessage))
    if (this.#running !== undefined) throw new Error("A worker runs one attempt at a time")
    const { promise, resolve } = Promise.withResolvers<AttemptResult>()
    const serial = ++this.#serial
    this.#running = { ...requests, serial, settle: resolve, logged: 0, acknowledging: false }
    this.#send({ type: "attempt", serial, context })
    return promise
  }

  /**
   * Tells the running attempt, if any, to end; `ctx.signal` aborts with this message. A driver that blocks the thread
   * cannot hear of it, however long its grace period is: such a thread is ended at once.
   */
  abort(message: string): void {
    const running = this.#running
    if (running === undefined) return
    this.#send({ type: "abort", serial: running.serial, message })
    running.blockedTimer ??= setTimeout(() => {
      void running.log("The driver blocks its thread and cannot be told to end; the thread is ended")
      this.end(message)
    }, answerMsMax)
  }

  /** Stops the thread whatever it is doing. A running attempt settles as failed with this message. Idempotent. */
  end(message: string): void {
    if (this.ended) return
    this.#endMessage = message
    this.#worker.terminate()
    this.#loaded.resolve(message)
    this.#described.resolve({})
    this.#settle(failure(message))
  }

  [Symbol.dispose](): void {
    this.end("The host ended the worker")
  }

  #send(message: ToWorker): void {
    if (!this.ended) this.#worker.postMessage(JSON.stringify(message))
  }

  #settle(result: AttemptResult): void {
    const running = this.#running
    this.#running = undefined
    clearTimeout(running?.blockedTimer)
    running?.settle(result)
  }

  #receive(message: FromWorker): void {
    if (this.ended) return
    switch (message.type) {
      case "loaded":
        this.#loaded.resolve(message.driver)
        return
      case "refused":
        this.end(message.message)
        return
      case "described":
        this.#described.resolve(message.schemas)
        return
      case "fault":
        void this.#running?.log(message.trace)
        this.end(message.message)
        return
      case "aborting":
      case "log":
      case "exec":
      case "defer":
      case "ended":
        if (this.#running?.serial === message.serial) this.#serve(this.#running, message)
        return
      default:
        message satisfies never
    }
  }

  #serve(running: Running, message: Extract<FromWorker, { serial: number }>): void {
    switch (message.type) {
      case "aborting":
        clearTimeout(running.blockedTimer)
        return
      case "log":
        void running.log(message.message).then(() => this.#acknowledge(running))
        return
      case "exec":
        void running
          .exec(message.command, message.options)
          .then((answer) => this.#answer(running, { type: "exec-ended", id: message.id, answer }))
        return
      case "defer":
        void keptOrRefused(running.defer(message.driver, message.input)).then((answer) =>
          this.#answer(running, { type: "deferred", id: message.id, answer }),
        )
        return
      case "ended":
        this.#settle(message.result)
        return
      default:
        message satisfies never
    }
  }

  /** One acknowledgement for all messages that became durable together. */
  #acknowledge(running: Running): void {
    running.logged++
    if (running.acknowledging) return
    running.acknowledging = true
    setImmediate(() => {
      running.acknowledging = false
      this.#answer(running, { type: "logged", count: running.logged })
    })
  }

  #answer(
    { serial }: Running,
    answer:
      | { readonly type: "logged"; readonly count: number }
      | { readonly type: "exec-ended"; readonly id: number; readonly answer: ExecAnswer }
      | { readonly type: "deferred"; readonly id: number; readonly answer: DeferAnswer },
  ): void {
    if (this.#running?.serial === serial) this.#send({ ...answer, serial })
  }
}

function keptOrRefused(kept: Promise<void>): Promise<DeferAnswer> {
  return kept.then(
    () => ({ type: "kept" }),
    (error) => ({ type: "refused", message: messageOf(error) }),
  )
}

/** The error itself, of a message that shows the source around it first. */
function summaryOf(message: string): string {
  return /^\w*error: (.*)$/im.exec(message)?.[1] ?? message.split("\n", 1)[0] ?? message
}
