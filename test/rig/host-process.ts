import { join } from "node:path"
import { type Running, start } from "./executable.ts"
import { tempFolder } from "./temp-folder.ts"
import { until } from "./until.ts"

/** A run as `GET /runs/:id` shows it, as far as tests look. */
export interface ShownRun {
  readonly runId: string
  readonly status: string
  readonly message?: string
  readonly durationMs?: number
  readonly pipeline?: { readonly name: string; readonly hash: string }
  readonly drivers?: Readonly<Record<string, string>>
  readonly steps: readonly {
    readonly id: string
    readonly status: string
    readonly attempt: number
    readonly waitingFor?: string
    readonly result?: { readonly success: boolean; readonly message: string; readonly data?: unknown }
  }[]
}

/** The executable serving from a folder, and its API. It is killed when its scope ends. */
export interface HostProcess extends AsyncDisposable {
  readonly process: Running
  readonly url: string
  /** Sends a request and answers status and body. */
  ask(
    path: string,
    body?: object,
  ): Promise<{ readonly status: number; readonly body: Record<string, unknown> }>
  /** Makes a resource of kind "app" and answers the id of its run. Throws when it was refused. */
  submit(pipeline: string, spec?: object): Promise<string>
  run(runId: string): Promise<ShownRun>
  /** Waits until the run has ended. */
  ended(runId: string, timeoutMs?: number): Promise<ShownRun>
  /** The messages of a run's log, in order. */
  messages(runId: string): Promise<string[]>
  /** Lines of the host's own log that match. */
  logged(pattern: RegExp): string[]
}

/** Writes files below a folder. */
export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [file, text] of Object.entries(files)) await Bun.write(join(folder, file), text)
}

/** A new folder with these files in it. */
export async function folderOf(files: Readonly<Record<string, string>>) {
  const folder = await tempFolder()
  await writeFiles(folder.path, files)
  return folder
}

/**
 * A pipeline `name` for resources of kind "app", whose one step runs a script. The script waits for a file by
 * `until [ -e "$GATE" ]`, whose path is the resource's `spec.gate`.
 */
export function shellPipeline(name: string, script: string, step: object = {}): string {
  const env = { GATE: `\${{ has(resource.spec.gate) ? resource.spec.gate : "/" }}` }
  const work = { id: "work", driver: "shell", with: { run: script, env }, ...step }
  return JSON.stringify({ name, resource: "app", steps: [work] })
}

/** A script that waits for its gate. */
export const waitForGate = 'until [ -e "$GATE" ]; do sleep 0.02; done'

/** Starts `serve` with a command that ends in it, and waits until it answers and knows resources of kind "app". */
export async function serveWith(
  command: readonly string[],
  {
    cwd,
    args = [],
    env = {},
  }: {
    readonly cwd: string
    readonly args?: readonly string[]
    readonly env?: Readonly<Record<string, string>>
  },
): Promise<HostProcess> {
  const process = start([...command, "serve", "--port", "0", ...args], { cwd, env })
  try {
    const url = (await process.printed(/listening on (http:\S+)/))[1] as string
    const host = hostProcess(process, url)
    const { status, body } = await host.ask("/resource-definitions", { name: "app", schema: {} })
    if (status >= 300 && status !== 409)
      throw new Error(`The kind "app" was refused: ${JSON.stringify(body)}`)
    return host
  } catch (error) {
    await process[Symbol.asyncDispose]()
    throw error
  }
}

function hostProcess(process: Running, url: string): HostProcess {
  async function ask(path: string, body?: object) {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }
    const response = await fetch(`${url}${path}`, {
      ...init,
      headers: { "content-type": "application/json" },
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }

  const run = async (runId: string) => (await ask(`/runs/${runId}`)).body as unknown as ShownRun

  return {
    process,
    url,
    ask,
    run,
    async submit(pipeline, spec = {}) {
      const name = `r${Bun.randomUUIDv7()}`
      const { status, body } = await ask("/resources", { name, resource: "app", pipeline, spec })
      if (status !== 201) throw new Error(`${status}: ${JSON.stringify(body)}`)
      return String(body["runid"])
    },
    ended: (runId, timeoutMs) =>
      until(
        `run ${runId} has ended`,
        async () => {
          const shown = await run(runId)
          return ["succeeded", "failed", "cancelled"].includes(shown.status) ? shown : undefined
        },
        timeoutMs,
      ),
    async messages(runId) {
      const { body } = await ask(`/logs?runid=${runId}&limit=1000`)
      return (body as unknown as { message: string }[]).map(({ message }) => message)
    },
    logged: (pattern) =>
      process
        .output()
        .split("\n")
        .filter((line) => pattern.test(line)),
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  }
}
