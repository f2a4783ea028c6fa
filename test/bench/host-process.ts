import { join } from "node:path"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"
import { writeWorkload } from "./workload.ts"

/** A host of the executable under measurement, in a folder of its own. It ends with its scope, its folder with it. */
export interface HostProcess extends AsyncDisposable {
  readonly pid: number
  readonly url: string
  readonly pipelines: string
  /** From the exec to the first answer of `/health`. */
  readonly readyMs: number
}

export interface HostOptions {
  readonly executable: string
  /** As `--store` takes it; undefined is the default, SQLite in the data folder. */
  readonly store?: string
  /** Without the drivers and pipelines of the bench. Default false. */
  readonly empty?: boolean
}

const readyMsMax = 20_000

/** Starts a host on a free port and waits until it says where it listens and answers there. */
export async function startHostProcess(options: HostOptions): Promise<HostProcess> {
  await using scope = new AsyncDisposableStack()
  const folder = scope.use(await tempFolder())
  if (options.empty !== true) await writeWorkload(folder.path)

  const startedAt = performance.now()
  const store = options.store === undefined ? [] : ["--store", options.store]
  const child = Bun.spawn([options.executable, "serve", "--port", "0", "--log-level", "error", ...store], {
    cwd: folder.path,
    env: { PATH: "/usr/bin:/bin" },
    stdio: ["ignore", "pipe", "inherit"],
  })
  // Also when the bench is interrupted, which unwinds no scope.
  const kill = () => child.kill("SIGKILL")
  process.once("exit", kill)
  scope.defer(async () => {
    process.off("exit", kill)
    kill()
    await child.exited
  })
  const url = await readUrl(child.stdout)
  await until("the host is healthy", async () => (await fetch(`${url}/health`)).ok, readyMsMax)
  const readyMs = performance.now() - startedAt

  const running = scope.move()
  return {
    pid: child.pid,
    url,
    pipelines: join(folder.path, "pipelines"),
    readyMs,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  }
}

/** What the host prints ends with its address; it prints nothing afterwards until it stops. */
async function readUrl(output: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder()
  let text = ""
  for await (const chunk of output) {
    text += decoder.decode(chunk, { stream: true })
    const url = /^listening on (\S+)$/m.exec(text)?.[1]
    if (url !== undefined) return url
  }
  throw new Error(`the host ended before it listened; it printed:\n${text}`)
}
