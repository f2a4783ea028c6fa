import { mkdirSync } from "node:fs"
import type { AttemptResult } from "../model/driver.ts"
import type { LoadedModule } from "./loaded-module.ts"
import { LinesAhead, type LogRoom } from "./log-room.ts"
import type { AttemptContext, ExecAnswer, FromWorker, ToWorker } from "./protocol.ts"
import { failure, lastingFailure, readResult, readThrown } from "./result.ts"
import { check, checkOutput } from "./schema-check.ts"
import type { DriverContext, ExecOptions, ExecResult } from "./sdk.ts"
import { createWorkerDefers } from "./worker-defers.ts"

/** One attempt inside a worker. */
export interface WorkerAttempt {
  /** Runs the driver to its end. Never rejects. */
  run(): Promise<AttemptResult>
  /** Takes what the host says about this attempt. */
  receive(message: Extract<ToWorker, { type: "abort" | "logged" | "exec-ended" | "deferred" }>): void
  /** Adds a line to the attempt's log. */
  log(message: string): Promise<void>
}

/** Prepares an attempt of `driver`. Nothing it offers the driver works any more once `run` has resolved. */
export function createWorkerAttempt(
  driver: LoadedModule,
  {
    serial,
    context,
    room,
    send,
  }: {
    readonly serial: number
    readonly context: AttemptContext
    readonly room: LogRoom
    readonly send: (message: FromWorker) => void
  },
): WorkerAttempt {
  const abort = new AbortController()
  const execs = new Map<number, (answer: ExecAnswer) => void>()
  const defers = createWorkerDefers({
    send: (request) => send({ ...request, type: "defer", serial }),
    isOver: () => ended || abort.signal.aborted,
  })
  const ahead = new LinesAhead(room)
  let execId = 0
  let ended = false

  function log(message: string): Promise<void> {
    if (ended) return Promise.resolve()
    // A driver may log anything.
    const text = String(message)
    send({ type: "log", serial, message: text })
    return ahead.add(text.length)
  }

  async function exec(command: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    checkCommand(command)
    if (ended) throw new Error(`Cannot run "${command.join(" ")}": the attempt has ended`)
    const id = ++execId
    send({ type: "exec", serial, id, command: [...command], options: { ...options } })
    const answer = await new Promise<ExecAnswer>((resolve) => execs.set(id, resolve))
    if (answer.type === "refused") throw new Error(answer.message)
    const { exitCode, stdout, stderr } = answer
    if (exitCode !== 0 && options.allowFailure !== true) {
      throw new Error(`"${command.join(" ")}" ended with exit code ${exitCode}`)
    }
    return { exitCode, stdout, stderr }
  }

  async function reconcile(): Promise<AttemptResult> {
    const input = await check(driver.input, context.input, "with")
    if ("faults" in input) {
      return lastingFailure(`The step's input does not validate: ${input.faults.join("; ")}`)
    }
    const { defer } = defers
    const ctx = contextOf(context, { input: input.value, signal: abort.signal, log, exec, defer })
    if (context.probing !== true) return checkOutput(driver, readResult(await driver.reconcile(ctx)))
    if (driver.probe === undefined) return failure("The driver has no probe")
    return checkOutput(driver, readProbe(await driver.probe(ctx)))
  }

  return {
    log,
    async run() {
      try {
        const result = await reconcile()
        await defers.settled()
        return result
      } catch (thrown) {
        // An abort is the host's doing, and the host says why it did it.
        if (!abort.signal.aborted) log(traceOf(thrown))
        return readThrown(thrown)
      } finally {
        ended = true
        ahead.acknowledge(Number.POSITIVE_INFINITY)
      }
    },
    receive(message) {
      switch (message.type) {
        case "abort":
          abort.abort(new Error(message.message))
          return
        case "logged":
          ahead.acknowledge(message.count)
          return
        case "exec-ended":
          execs.get(message.id)?.(message.answer)
          execs.delete(message.id)
          return
        case "deferred":
          defers.receive(message.id, message.answer)
          return
        default:
          message satisfies never
      }
    },
  }
}

/** Only a driver result tells how the earlier attempt ended. */
function readProbe(answer: unknown): AttemptResult {
  if (answer === undefined || answer === null) return failure("The driver's probe cannot tell")
  const result = readResult(answer)
  return (answer as { success?: unknown }).success === result.success ? { ...result, probed: true } : result
}

/** The stack of what was thrown, with the driver's files named as its author knows them. */
export function traceOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `The driver threw ${Bun.inspect(thrown)}`
  return thrown.stack ?? `${thrown.name}: ${thrown.message}`
}

function contextOf(
  { resource, event, metadata, results, env, run, step, attempt, token, workspace }: AttemptContext,
  own: Pick<DriverContext, "input" | "signal" | "log" | "exec" | "defer">,
): DriverContext {
  let made = false
  return {
    resource,
    event,
    metadata,
    results,
    env,
    run,
    step,
    attempt,
    token,
    ...own,
    // Made when it is asked for: most attempts that are over in a millisecond never look at it.
    get workspace() {
      if (!made) mkdirSync(workspace, { recursive: true })
      made = true
      return workspace
    },
  }
}

function checkCommand(command: unknown): asserts command is readonly [string, ...string[]] {
  const valid =
    Array.isArray(command) && command.length > 0 && command.every((part) => typeof part === "string")
  if (!valid) throw new TypeError(`ctx.exec takes a list of strings, and was given ${Bun.inspect(command)}`)
}
