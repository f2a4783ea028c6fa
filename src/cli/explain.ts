import { type Flags, loadConfig } from "../config.ts"
import { ConveyorError } from "../errors.ts"
import type { RunExplanation } from "../explain/explanation.ts"
import { httpUrl } from "../model/http-url.ts"
import type { Json } from "../model/json.ts"
import { isUuid } from "../model/uuid.ts"
import { type Client, createClient } from "./client.ts"
import { explanationLines } from "./explain-output.ts"
import { type OutputOptions, outputOf } from "./output-options.ts"
import { widthOf } from "./terminal.ts"

export interface ExplainOptions extends OutputOptions {
  /** The host to ask; without it the one that the settings of this folder describe. */
  readonly server?: string
}

/**
 * `conveyor explain`: says of a run, and of each of its steps, why it is where it is. `run` is the run's id, or as much
 * of its beginning as no other run has. Answers 0, however the run goes.
 */
export async function explain(run: string, options: ExplainOptions): Promise<number> {
  const { print, style } = outputOf(options)
  const client = createClient(options.server ?? (await ownServer(options.settings)))
  const explanation = await explanationOf(run, client).catch((error: unknown) => {
    const isAway = error instanceof ConveyorError && error.code === "SERVER_UNREACHABLE"
    if (!isAway || options.server !== undefined) throw error
    const message = `No host answers at ${client.url}: start one with "conveyor serve", or name one with --server <url>`
    throw new ConveyorError("SERVER_UNREACHABLE", message, { cause: error })
  })
  if (options.json) {
    print(JSON.stringify(explanation, undefined, 2))
    return 0
  }
  const layout = { style, width: widthOf(process.stdout), nowMs: Date.now() }
  for (const line of explanationLines(explanation as unknown as RunExplanation, layout)) print(line)
  return 0
}

async function explanationOf(run: string, client: Client): Promise<Json> {
  const runId = isUuid(run) ? run : await runIdOf(client, run)
  return client.get(`/runs/${runId}/explain`)
}

/** Where `conveyor serve` with the same settings answers. */
async function ownServer(flags: Flags): Promise<string> {
  const { host, port } = await loadConfig({ flags, env: process.env, cwd: process.cwd() })
  if (port === 0) throw new ConveyorError("USAGE", "The port is a free one; say which with --server <url>")
  return httpUrl(host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host, port)
}

const lastUuid = "ffffffff-ffff-ffff-ffff-ffffffffffff"

/** The run whose id begins so. Ids sort by time and lists begin with the newest, so those come first behind this one. */
async function runIdOf(client: Client, start: string): Promise<string> {
  const begins = start.toLowerCase()
  if (begins === "" || !isUuid(begins + lastUuid.slice(begins.length))) {
    throw new ConveyorError("NOT_FOUND", `"${start}" is no run's id, nor the beginning of one`)
  }
  const after = begins + lastUuid.slice(begins.length)
  const runs = (await client.get(`/runs?limit=2&after=${after}`)) as unknown as readonly { runId: string }[]
  const [first, second] = runs.map(({ runId }) => runId).filter((runId) => runId.startsWith(begins))
  if (first === undefined) throw new ConveyorError("NOT_FOUND", `No run's id begins with "${start}"`)
  if (second === undefined) return first
  throw new ConveyorError(
    "USAGE",
    `"${start}" is the beginning of ${second}, ${first} and maybe others; give more of it`,
  )
}
