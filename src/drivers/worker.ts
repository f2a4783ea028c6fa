import { AsyncLocalStorage } from "node:async_hooks"
import { dirname } from "node:path"
import { formatWithOptions } from "node:util"
import { messageOf } from "../errors.ts"
import { type LoadedModule, readModule } from "./loaded-module.ts"
import { createLogRoom, type LogRoom } from "./log-room.ts"
import type { FromWorker, ToWorker } from "./protocol.ts"
import { describeSchemas } from "./schema-description.ts"
import { createWorkerAttempt, traceOf, type WorkerAttempt } from "./worker-attempt.ts"
import { hasChildren, heapOver, markChildren, watchHeap } from "./worker-bounds.ts"

/*
 * The entry of every worker thread: it loads one bundle, then runs its attempts one after the other. It is an
 * entrypoint of its own in the executable.
 */

declare const self: Worker

// Taken before the driver's code runs, which may put something else in its place.
const post = self.postMessage.bind(self)
const { parse, stringify } = JSON
const send = (message: FromWorker): void => post(stringify(message))

let loading: Promise<LoadedModule | string> | undefined
let current: { readonly serial: number; readonly attempt: WorkerAttempt } | undefined
let bundleFolder = ""
let room: LogRoom = createLogRoom()
let heapBytesMax = Number.POSITIVE_INFINITY
/** The serial of the attempt that the running code was started by. */
const startedBy = new AsyncLocalStorage<number>()

self.onmessage = ({ data: message }: MessageEvent<string | LogRoom>) => {
  if (typeof message !== "string") {
    room = message
    return
  }
  const data = parse(message) as ToWorker
  switch (data.type) {
    case "load":
      heapBytesMax = data.heapBytesMax
      markChildren(data.marks)
      loading = load(data.file)
      return
    case "describe":
      void describe()
      return
    case "attempt":
      void run(data)
      return
    case "abort":
      send({ type: "aborting", serial: data.serial })
      if (current?.serial === data.serial) current.attempt.receive(data)
      return
    case "logged":
    case "exec-ended":
    case "deferred":
      if (current?.serial === data.serial) current.attempt.receive(data)
      return
    default:
      data satisfies never
  }
}

async function load(file: string): Promise<LoadedModule | string> {
  bundleFolder = `${dirname(file)}/`
  const module = await importDriver(file)
  send(
    typeof module === "string"
      ? { type: "refused", message: module }
      : { type: "loaded", driver: module.description },
  )
  return module
}

async function importDriver(file: string): Promise<LoadedModule | string> {
  try {
    return readModule(await import(file))
  } catch (thrown) {
    return `The file throws when it is loaded: ${messageOf(thrown)}`
  }
}

async function describe(): Promise<void> {
  const driver = await loading
  const schemas = driver === undefined || typeof driver === "string" ? {} : await describeSchemas(driver)
  send({ type: "described", schemas })
}

async function run({ serial, context }: Extract<ToWorker, { type: "attempt" }>): Promise<void> {
  const driver = await loading
  if (driver === undefined || typeof driver === "string") {
    throw new Error("A worker is given attempts only when its driver is loaded")
  }
  const attempt = createWorkerAttempt(driver, { serial, context, room, send: sendReadable })
  current = { serial, attempt }
  using _ = watchHeap(heapBytesMax, (bytes) => send({ type: "heap", serial, bytes }))
  const result = await startedBy.run(serial, () => attempt.run())
  const heapBytes = heapOver(heapBytesMax)
  send({
    type: "ended",
    serial,
    result,
    ...(heapBytes === undefined ? {} : { heapBytes }),
    ...(hasChildren() ? { children: true } : {}),
  })
}

/** Stacks name files beside the bundle; the author knows them relative to the drivers folder. */
function sendReadable(message: FromWorker): void {
  send(message.type === "log" ? { ...message, message: readable(message.message) } : message)
}

function readable(text: string): string {
  return text.includes(bundleFolder) ? text.replaceAll(bundleFolder, "") : text
}

process.on("unhandledRejection", (reason) =>
  send({
    type: "fault",
    message: `Nothing caught what the driver rejected: ${messageOf(reason)}`,
    trace: readable(traceOf(reason)),
  }),
)
// A timer may be left from an earlier attempt: what it throws is not to fail the one under way.
process.on("uncaughtException", (error) => {
  const serial = startedBy.getStore()
  send({
    type: "fault",
    ...(serial === undefined ? {} : { serial }),
    message: `Nothing caught what the driver threw: ${messageOf(error)}`,
    trace: readable(traceOf(error)),
  })
})

// What a driver prints belongs to its attempt, not to the host's own output; and not to the next one, when it comes late.
function print(...values: readonly unknown[]): void {
  const serial = startedBy.getStore() ?? current?.serial
  if (serial === current?.serial) void current?.attempt.log(formatWithOptions({ colors: false }, ...values))
}
for (const method of ["log", "info", "debug", "warn", "error", "trace"] as const) console[method] = print
console.dir = (value: unknown) => print(value)

for (const stream of [process.stdout, process.stderr]) {
  stream.write = (chunk: string | Uint8Array) => {
    print((typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)).replace(/\n$/, ""))
    return true
  }
}
