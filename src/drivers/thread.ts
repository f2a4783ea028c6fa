import { messageOf } from "../errors.ts"
import type { AttemptResult, DriverSchemas } from "../model/driver.ts"
import type { JsonObject } from "../model/json.ts"
import { endProcesses } from "./end-processes.ts"
import { createLogRoom, setDurable } from "./log-room.ts"
import { findProcesses, marksOf } from "./process-marks.ts"
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

/** How long processes that a driver started by itself have between SIGTERM and SIGKILL, once their worker has ended. */
export const childrenGraceMs = 1_000
const mebibyte = 1024 * 1024

export interface ThreadOptions {
  readonly entry: string | URL
  /** The bundle. */
  readonly file: string
  /** The data folder, which child processes are marked with. */
  readonly data: string
  readonly heapBytesMax: number
  /** Told that the heap was over the limit, and what was done about it. */
  readonly onHeap: (message: string) => void
}

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
  readonly #room = createLogRoom()
  readonly #mark = `worker/${Bun.randomUUIDv7()}`
  readonly #onHeap: (message: string) => void
  readonly #loaded = Promise.withResolvers<LoadedDriver | string>()
  readonly #described = Promise.withResolvers<DriverSchemas>()
  #running: Running | undefined
  #serial = 0
  /** Why it is over; undefined while it is alive. */
  #endMessage: string | undefined
  /** It is not to be given another attempt, though the one it runs may go on. */
  #spent = false
  /** The driver may have started processes by itself that still run. */
  #hasChildren = false
  #gone: Promise<void> | undefined

  constructor({ entry, file, data, heapBytesMax, onHeap }: ThreadOptions) {
    this.#onHeap = onHeap
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
    this.#worker.postMessage(this.#room)
    const marks = marksOf({ token: this.#mark, data })
    this.#send({ type: "load", file, marks, heapBytesMax })
  }

  /** What the module says of itself, or a sentence on why it could not be loaded. Never rejects. */
  get loaded(): Promise<LoadedDriver | string> {
    return this.#loaded.promise
  }

  get ended(): boolean {
    return this.#endMessage !== undefined
  }

  /** Must it not be given another attempt? So it is when it has ended, and when it should. */
  get spent(): boolean {
    return this.#spent || this.ended
  }

  /** Resolves, once it has ended, when the processes that its driver started by itself are gone. */
  get gone(): Promise<void> {
    return this.#gone ?? Promise.resolve()
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
    setDurable(this.#room, 0)
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
    // What was cut off in the middle had no chance to tell.
    if (this.#hasChildren || this.#running !== undefined) this.#gone = endMarked(this.#mark)
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
        this.#fail(message)
        return
      case "aborting":
      case "log":
      case "exec":
      case "defer":
      case "heap":
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
      case "heap":
        this.end(this.#overHeap(message.bytes, "the attempt was ended"))
        return
      case "ended":
        this.#hasChildren = message.children === true
        if (message.heapBytes !== undefined) {
          this.#overHeap(message.heapBytes, "another worker takes its place")
          this.#spent = true
        }
        this.#settle(message.result)
        return
      default:
        message satisfies never
    }
  }

  /** What an earlier attempt has left behind must not fail the one that runs now; it is the last one here. */
  #fail({ serial, message, trace }: Extract<FromWorker, { type: "fault" }>): void {
    if (this.#running !== undefined && serial !== undefined && serial !== this.#running.serial) {
      this.#spent = true
      return
    }
    void this.#running?.log(trace)
    this.end(message)
  }

  /** Says that its heap is over the limit, and answers the sentence. */
  #overHeap(bytes: number, consequence: string): string {
    const message = `The driver holds ${Math.round(bytes / mebibyte)} MiB of memory, more than a worker may (--worker-memory); ${consequence}`
    this.#onHeap(message)
    return message
  }

  /** One acknowledgement for all messages that became durable together. */
  #acknowledge(running: Running): void {
    running.logged++
    if (running.acknowledging) return
    running.acknowledging = true
    setImmediate(() => {
      running.acknowledging = false
      if (this.#running === running) setDurable(this.#room, running.logged)
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

async function endMarked(mark: string): Promise<void> {
  const deadline = performance.now() + childrenGraceMs
  const match = { type: "attempt", token: mark, groups: new Set<number>() } as const
  await endProcesses(() => findProcesses(match), { deadline: () => deadline })
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
