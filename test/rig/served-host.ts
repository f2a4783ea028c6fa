import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import type { StreamedLine } from "../../src/cli/client.ts"
import type { HostRecord } from "../../src/model/host.ts"
import type { RunView } from "../../src/model/run-view.ts"
import { type Running, start } from "./executable.ts"
import { until } from "./until.ts"

export interface ServedHostOptions {
  readonly executable: string
  /** Its folder: data, drivers and pipelines lie in it, so that it can be started there again. */
  readonly folder: string
  readonly etcd: string
  /** Shell scripts that are done by drivers, by the driver's name. */
  readonly drivers: Readonly<Record<string, string>>
  /** Modules of drivers, by the driver's name. */
  readonly modules?: Readonly<Record<string, string>>
  /** More of the command line. */
  readonly flags?: readonly string[]
}

/** A host as people run it: the executable, in a process of its own, on an etcd. */
export interface ServedHost extends AsyncDisposable {
  readonly url: string
  readonly hostId: string
  readonly process: Running
  /** `kill -9`: the process is gone when this answers. */
  kill(): Promise<void>
}

/** Starts it and waits until it serves. */
export async function serveHost(options: ServedHostOptions): Promise<ServedHost> {
  const { executable, folder, etcd, drivers, modules = {}, flags = [] } = options
  for (const each of ["drivers", "pipelines"]) await mkdir(join(folder, each), { recursive: true })
  const scripts = Object.entries(drivers).map(([name, script]) => [name, driverOf(name, script)] as const)
  for (const [name, module] of [...scripts, ...Object.entries(modules)]) {
    await Bun.write(join(folder, "drivers", `${name}.ts`), module)
  }
  const store = etcd.replace("http://", "etcd://")
  const process = start([executable, "serve", "--port", "0", "--store", store, "--grace", "1s", ...flags], {
    cwd: folder,
  })
  const url = (await process.printed(/listening on (http:\S+)/))[1] as string
  const { hostId } = (await (await fetch(`${url}/health`)).json()) as { hostId: string }
  return {
    url,
    hostId,
    process,
    async kill() {
      process.kill("SIGKILL")
      await process.exited
    },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  }
}

const driverOf = (name: string, script: string) => `import { defineDriver } from "conveyor"
export default defineDriver({
  name: ${JSON.stringify(name)},
  async reconcile(ctx) {
    await ctx.exec(["sh", "-c", ${JSON.stringify(script)}])
  },
})
`

/** Sends JSON and answers what came back; throws when that is an error. */
export async function post(url: string, body: object): Promise<Record<string, string>> {
  const headers = { "content-type": "application/json" }
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(await response.text())
  return (await response.json()) as Record<string, string>
}

/** The hosts that this one knows, once there are so many. */
export async function hostsSeen(url: string, count: number): Promise<readonly HostRecord[]> {
  return await until(`${count} hosts are known`, async () => {
    const hosts = (await (await fetch(`${url}/hosts`)).json()) as readonly HostRecord[]
    return hosts.length === count ? hosts : undefined
  })
}

/** The run once it has ended, as this host sees it. */
export async function endedRun(url: string, runId: string): Promise<RunView> {
  const response = await fetch(`${url}/runs/${runId}?wait=30s`)
  return (await response.json()) as RunView
}

export interface ReadLog {
  readonly lines: readonly StreamedLine[]
  /** What the header says is missing. */
  readonly missing: string | null
}

/** All lines of a run, as this host answers, page by page. */
export async function readLog(url: string, runId: string, limit = 100): Promise<ReadLog> {
  const lines: StreamedLine[] = []
  let missing: string | null = null
  for (let path: string | undefined = `/logs?runid=${runId}&limit=${limit}`; path !== undefined; ) {
    const response: Response = await fetch(`${url}${path}`)
    if (!response.ok) throw new Error(await response.text())
    lines.push(...((await response.json()) as StreamedLine[]))
    missing ??= response.headers.get("conveyor-missing-logs")
    path = /^<(.*)>; rel="next"$/.exec(response.headers.get("link") ?? "")?.[1]
  }
  return { lines, missing }
}
