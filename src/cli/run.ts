import { readFile } from "node:fs/promises"
import type { Flags } from "../config.ts"
import { ConveyorError, messageOf } from "../errors.ts"
import { isJsonObject } from "../model/json.ts"
import { type Client, createClient } from "./client.ts"
import { followRun } from "./follow-run.ts"
import { noPipeline } from "./no-pipeline.ts"
import { isPipelineFile } from "./pipeline-argument.ts"
import { jsonOutput, type RunOutput, type RunPlaces, textOutput } from "./run-output.ts"
import { buildResource } from "./run-resource.ts"
import { watchSignals } from "./signals.ts"
import { styleFor } from "./terminal.ts"

/** As of a process that SIGPIPE ends. */
const unreadExit = 141

export interface RunOptions {
  /** A YAML or JSON file with a resource or a spec. */
  readonly resource?: string
  /** `key=value` for the spec. */
  readonly set: readonly string[]
  /** The host to run on; without it a local one is started, and stopped at the end. */
  readonly server?: string
  readonly json: boolean
  /** What was typed of the local host's configuration. */
  readonly settings: Flags
}

/**
 * Sends a resource down a pipeline and follows the run to its end. Answers 0 when it succeeded and 1 when it failed
 * or was cancelled. The first SIGINT or SIGTERM cancels the run and waits for it to have ended; a second one leaves,
 * and so does it when nobody reads the output any more.
 */
export async function run(pipeline: string, options: RunOptions): Promise<number> {
  const write = (text: string) => process.stdout.write(text)
  const output = options.json ? jsonOutput(write) : textOutput(write, styleFor(process.stdout, process.env))
  const isFile = isPipelineFile(pipeline)
  if (options.server !== undefined) {
    if (isFile)
      throw new ConveyorError("USAGE", "A file runs on a local host; --server takes a pipeline's name")
    return runOn(createClient(options.server), {
      pipeline,
      options,
      output,
      where: `on ${options.server}`,
    })
  }
  const { startLocalHost } = await import("./local-host.ts")
  const name = isFile ? await pipelineIn(pipeline) : pipeline
  const local = await startLocalHost({ settings: options.settings, ...(isFile ? { file: pipeline } : {}) })
  let accepted = false
  const started: RunOutput["started"] = (run) => {
    accepted = true
    output.started(run)
  }
  try {
    return await runOn(createClient(local.host.url), {
      pipeline: name,
      options,
      output: { ...output, started },
      where: `in ${local.pipelines}`,
      places: local.places,
    })
  } finally {
    await local.host.stop()
    if (!accepted) await local.discard()
  }
}

interface RunInput {
  readonly pipeline: string
  readonly options: RunOptions
  readonly output: RunOutput
  /** Where the pipeline is looked for, in words. */
  readonly where: string
  /** Where the run's files are; absent when they are on another machine. */
  readonly places?: (runId: string) => RunPlaces
}

async function runOn(client: Client, input: RunInput): Promise<number> {
  const { pipeline, options, output, places } = input
  const kind = await kindOf(client, pipeline, input.where)
  const resource = await buildResource({
    pipeline,
    kind,
    name: `${pipeline}-${crypto.randomUUID().slice(0, 8)}`,
    set: options.set,
    ...(options.resource === undefined ? {} : { resource: options.resource }),
  })
  await ensureDefinition(client, String(resource["resource"]), places !== undefined)
  const accepted = await client.post("/resources", resource)
  const runId = isJsonObject(accepted) ? accepted["runid"] : undefined
  if (typeof runId !== "string" || runId === "") {
    throw new ConveyorError("CONFLICT", `No run started: pipeline "${pipeline}" is not for new resources`)
  }
  output.started({
    runId,
    resource: `${resource["resource"]}/${resource["name"]}`,
    url: `${client.url}/runs/${runId}`,
  })

  using signals = watchSignals()
  const left = new AbortController()
  const leave = async (): Promise<number> => {
    await signals.next()
    process.stderr.write("cancelling the run; a second signal leaves it\n")
    client.post(`/runs/${runId}/cancel`).catch((error: unknown) => {
      process.stderr.write(`the run could not be cancelled: ${messageOf(error)}\n`)
    })
    return (await signals.next()).exit
  }
  const unread = new Promise<number>((resolve) => process.stdout.once("error", () => resolve(unreadExit)))
  const ended = await Promise.race([
    unread,
    followRun(client, { runId, output, signal: left.signal }),
    leave(),
  ])
  left.abort()
  if (typeof ended === "number") return ended
  output.ended(ended, places?.(runId) ?? {})
  return ended.status === "succeeded" ? 0 : 1
}

async function kindOf(client: Client, pipeline: string, where: string): Promise<string> {
  const found = await client.find(`/pipelines/${encodeURIComponent(pipeline)}`)
  if (found === undefined) {
    const all = (await client.get("/pipelines?limit=1000")) as unknown as readonly { name: string }[]
    throw noPipeline(pipeline, where, new Set(all.map(({ name }) => name)))
  }
  const kind = isJsonObject(found) ? found["resource"] : undefined
  if (typeof kind !== "string") throw new Error("A pipeline always names the kind of its resources")
  return kind
}

/** A local host takes resources of a kind that nobody defined; on a shared one that is for its people to decide. */
async function ensureDefinition(client: Client, kind: string, local: boolean): Promise<void> {
  const found = await client.find(`/resource-definitions/${encodeURIComponent(kind)}`)
  if (found !== undefined) return
  if (!local) {
    throw new ConveyorError(
      "NOT_FOUND",
      `${client.url} has no resource definition "${kind}"; POST one to /resource-definitions first`,
    )
  }
  await client.post("/resource-definitions", { name: kind, schema: {} })
}

/** The name of the one pipeline in a file; the host that loads the file says what else is wrong with it. */
async function pipelineIn(file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new ConveyorError("NOT_FOUND", `${file} cannot be read: ${messageOf(cause)}`, { cause })
  })
  const { parseAllDocuments } = await import("yaml")
  const names = parseAllDocuments(text).flatMap((document) => {
    const source: unknown = "toJS" in document ? document.toJS() : undefined
    if (!isJsonObject(source) || source["kind"] === "ResourceDefinition") return []
    return typeof source["name"] === "string" ? [source["name"]] : []
  })
  const [name, ...others] = names
  if (name === undefined) throw new ConveyorError("INVALID", `${file} holds no pipeline with a name`)
  if (others.length > 0) {
    throw new ConveyorError(
      "USAGE",
      `${file} holds several pipelines: ${names.join(", ")}; run one by its name, with --pipelines <folder>`,
    )
  }
  return name
}
