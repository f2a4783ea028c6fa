import { Database } from "bun:sqlite"
import { existsSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import type { DataRef } from "../../src/model/driver.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import type { RunView, StepView } from "../../src/model/run-view.ts"
import { type Running, start } from "../rig/executable.ts"
import { jsonLines, type LoggedLine, type Note, noteDriver } from "./note-driver.ts"

export interface Scene {
  readonly executable: string
  /** A folder of its own. */
  readonly folder: string
  readonly pipeline?: Omit<PipelineSource, "name" | "resource">
  readonly drivers: readonly string[]
  /** As `--store` takes it. */
  readonly store?: string
}

/** A folder with one host's files, in which the executable is started again and again. */
export class CrashingHost implements AsyncDisposable {
  readonly #scene: Scene
  #running: Running | undefined
  #url = ""

  private constructor(scene: Scene) {
    this.#scene = scene
  }

  /** Writes the files; nothing is started yet. */
  static async in(scene: Scene): Promise<CrashingHost> {
    const { folder, pipeline, drivers } = scene
    for (const each of ["drivers", "pipelines"]) await mkdir(join(folder, each))
    for (const name of drivers)
      await Bun.write(join(folder, `drivers/${name}.js`), noteDriver({ resources: ["app"] }))
    const definition = { kind: "ResourceDefinition", name: "app", schema: { type: "object" } }
    await Bun.write(join(folder, "pipelines/app.json"), JSON.stringify(definition))
    if (pipeline !== undefined) {
      const source = { name: "release", resource: "app", ...pipeline }
      await Bun.write(join(folder, "pipelines/release.json"), JSON.stringify(source))
    }
    return new CrashingHost(scene)
  }

  get data(): string {
    return join(this.#scene.folder, ".conveyor")
  }

  get url(): string {
    return this.#url
  }

  /** Starts it; with `killAfter` it dies right after its commit with this number. Answers whether it got to listen. */
  async start(killAfter?: number): Promise<boolean> {
    const { executable, folder, store } = this.#scene
    const flags = ["--port", "0", "--grace", "1s", "--lease-ttl", "1s", "--log-level", "error"]
    this.#running = start(
      [executable, "serve", ...flags, ...(store === undefined ? [] : ["--store", store])],
      {
        cwd: folder,
        ...(killAfter === undefined ? {} : { env: { CONVEYOR_FAULT_KILL_AFTER_COMMIT: String(killAfter) } }),
      },
    )
    const died = this.#running.exited.then(() => undefined)
    const listening = await Promise.race([this.#running.printed(/listening on (\S+)/), died]).catch(
      () => undefined,
    )
    this.#url = listening?.[1] ?? ""
    return listening !== undefined
  }

  /** Resolves when it has died. */
  async died(): Promise<void> {
    await this.#running?.exited
  }

  signal(name: NodeJS.Signals): void {
    this.#running?.kill(name)
  }

  /** Waits until it has printed something that matches. */
  async printed(pattern: RegExp): Promise<void> {
    await this.#running?.printed(pattern)
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    await this.#running?.[Symbol.asyncDispose]()
  }

  /** Submits the one resource of the scene. Again is the same: the key says so. Throws when nobody answers. */
  async submit(): Promise<string> {
    const { pipeline, folder } = this.#scene
    const response = await fetch(`${this.#url}/resources`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": "the-one" },
      body: JSON.stringify({
        name: "shop",
        resource: "app",
        ...(pipeline === undefined ? {} : { pipeline: "release" }),
        spec: { journal: join(folder, "journal") },
      }),
    })
    const answer = (await response.json()) as { runid: string }
    if (response.status !== 201) throw new Error(`the submission was answered ${JSON.stringify(answer)}`)
    return answer.runid
  }

  /** The run once it has ended, or waits for a word on how an attempt ended. Throws when nobody answers. */
  async settled(runId: string): Promise<RunView> {
    for (;;) {
      const response = await fetch(`${this.#url}/runs/${runId}?wait=100ms`)
      const run = (await response.json()) as RunView
      if (["succeeded", "failed", "cancelled"].includes(run.status)) return run
      if (run.steps.some(isAsking)) return run
    }
  }

  /** Says that the cut-off attempt of this step had no effect. */
  async resolve(runId: string, stepId: string): Promise<void> {
    const path = `runs/${runId}/steps/${stepId}/resolve`
    await fetch(`${this.#url}/${path}`, { method: "POST", body: JSON.stringify({ outcome: "retry" }) })
  }

  /** What the drivers noted, in order. */
  async notes(): Promise<readonly Note[]> {
    const file = Bun.file(join(this.#scene.folder, "journal"))
    return (await file.exists()) ? jsonLines<Note>(await file.text()) : []
  }

  /** The run's log file as it is on the disk. */
  async log(runId: string): Promise<readonly LoggedLine[]> {
    const file = Bun.file(join(this.data, "logs", `${runId}.jsonl`))
    return (await file.exists()) ? jsonLines<LoggedLine>(await file.text()) : []
  }

  /** Large data as it is on the disk. */
  async dataOf({ runId, sha256 }: Pick<DataRef, "runId" | "sha256">): Promise<Uint8Array> {
    return await Bun.file(join(this.data, "results", runId, `${sha256}.json`)).bytes()
  }

  /** All that the embedded store holds, read from its file while no host runs. */
  entries(): ReadonlyMap<string, string> {
    const file = join(this.data, "conveyor.sqlite")
    if (!existsSync(file)) return new Map()
    using db = new Database(file)
    const isMade = db.query("SELECT 1 FROM sqlite_master WHERE name = 'entries'").get() !== null
    const rows = isMade
      ? db.query<{ key: string; value: string }, []>("SELECT key, value FROM entries").all()
      : []
    return new Map(rows.map(({ key, value }) => [key, value]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}

/** Does it wait for somebody to say how an attempt ended? */
export const isAsking = ({ status, message }: StepView) =>
  status === "waiting" && message.startsWith("outcome unknown")
