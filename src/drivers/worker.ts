import { dirname } from "node:path"
import { formatWithOptions } from "node:util"
import { messageOf } from "../errors.ts"
import { type LoadedModule, readModule } from "./loaded-module.ts"
import type { FromWorker, ToWorker } from "./protocol.ts"
import { describeSchemas } from "./schema-description.ts"
import { createWorkerAttempt, traceOf, type WorkerAttempt } from "./worker-attempt.ts"

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

self.onmessage = ({ data: text }: MessageEvent<string>) => {
  const data = parse(text) as ToWorker
  switch (data.type) {
    case "load":
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
  const attempt = createWorkerAttempt(driver, { serial, context, send: sendReadable })
  current = { serial, attempt }
  const result = await attempt.run()
  send({ type: "ended", serial, result })
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
process.on("uncaughtException", (error) =>
  send({
    type: "fault",
    message: `Nothing caught what the driver threw: ${messageOf(error)}`,
    trace: readable(traceOf(error)),
  }),
)

// What a driver prints belongs to its attempt, not to the host's own output.
function print(...values: readonly unknown[]): void {
  void current?.attempt.log(formatWithOptions({ colors: false }, ...values))
}
for (const method of ["log", "info", "debug", "warn", "error", "trace"] as const) console[method] = print
console.dir = (value: unknown) => print(value)

for (const stream of [process.stdout, process.stderr]) {
  stream.write = (chunk: string | Uint8Array) => {
    print((typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk)).replace(/\n$/, ""))
    return true
  }
}
