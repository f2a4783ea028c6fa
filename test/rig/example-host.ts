import { expect } from "bun:test"
import { join } from "node:path"
import pino from "pino"
import { loadConfig } from "../../src/config.ts"
import { type Host, startHost } from "../../src/host.ts"
import { isEnded } from "../../src/model/run.ts"
import type { RunView } from "../../src/model/run-view.ts"
import { outcomeOf, resourceFor, type ShownRun } from "./shown-runs.ts"
import { tempFolder } from "./temp-folder.ts"
import { until } from "./until.ts"

const log = pino({ level: "silent" })

/** A whole host in this process, with the drivers that ship and nothing else, for running examples. */
export interface ExampleHost extends AsyncDisposable {
  readonly host: Host
  /** Sends a resource down the pipeline and answers the run's id. */
  submit(run: Pick<ShownRun, "pipeline"> & Partial<Pick<ShownRun, "set">>): Promise<string>
  send(method: string, path: string, body?: object): Promise<Record<string, unknown>>
  run(runId: string): Promise<RunView>
  ended(runId: string): Promise<RunView>
  /** The run, once it says so. */
  runUntil(runId: string, what: string, is: (run: RunView) => boolean): Promise<RunView>
  linesOf(runId: string): Promise<readonly { readonly step?: string; readonly message: string }[]>
  workspaceOf(runId: string): string
}

/** Starts it on a folder of pipelines; `data`: on what an earlier one has left. */
export async function startExampleHost(
  pipelines: string,
  { data, flags = {} }: { readonly data?: string; readonly flags?: Readonly<Record<string, string>> } = {},
): Promise<ExampleHost> {
  await using parts = new AsyncDisposableStack()
  const folder = data ?? parts.use(await tempFolder()).path
  const settings = {
    data: folder,
    drivers: join(folder, "no-drivers"),
    pipelines,
    port: "0",
    grace: "0s",
    ...flags,
  }
  const env = { GREETING: "hello", SECRET: "not to be seen" }
  const host = parts.use(await startHost(await loadConfig({ flags: settings, env, cwd: folder }), { log }))
  const own = parts.move()

  async function send(method: string, path: string, body?: object) {
    const headers = { "content-type": "application/json" }
    const sent = body === undefined ? {} : { body: JSON.stringify(body), headers }
    const response = await fetch(`${host.url}${path}`, { method, ...sent })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${text}`)
    return text === "" ? {} : JSON.parse(text)
  }
  const run = async (runId: string) => (await send("GET", `/runs/${runId}`)) as RunView
  const runUntil = (runId: string, what: string, is: (run: RunView) => boolean) =>
    until(
      `run ${runId} ${what}`,
      async () => {
        const view = await run(runId)
        return is(view) ? view : undefined
      },
      60_000,
    )

  return {
    host,
    send,
    run,
    runUntil,
    ended: (runId) => runUntil(runId, "ends", ({ status }) => isEnded(status)),
    async submit({ pipeline, set = [] }) {
      const { resource: kind } = await send("GET", `/pipelines/${pipeline}`)
      const body = await resourceFor({ pipeline, set }, String(kind))
      const { runid } = await send("POST", "/resources", body)
      return String(runid)
    },
    async linesOf(runId) {
      return (await send("GET", `/logs?runid=${runId}&limit=1000`)) as unknown as {
        step?: string
        message: string
      }[]
    },
    workspaceOf: (runId) => join(folder, "workspaces", runId),
    [Symbol.asyncDispose]: () => own[Symbol.asyncDispose](),
  }
}

/** Runs it, and expects of it what it shows. */
export async function expectShown(examples: ExampleHost, shown: ShownRun): Promise<void> {
  const runId = await examples.submit(shown)
  const run = await examples.ended(runId)
  const says = (of: string) =>
    of === "the run" ? run.message : run.steps.find(({ id }) => id === of)?.message
  expect({
    outcome: outcomeOf(run),
    messages: shown.messages.map(({ of }) => ({ of, message: says(of) })),
  }).toEqual({ outcome: shown.outcome, messages: [...shown.messages] })
  const log = await examples.linesOf(runId)
  for (const { step, line } of shown.lines) {
    const lines = log.filter((each) => each.step === step).map(({ message }) => message)
    expect(lines).toContain(line)
  }
}
