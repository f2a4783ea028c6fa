import { closeSync, openSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { until } from "../../rig/until.ts"

export interface HostSlotOptions {
  readonly executable: string
  /** The soak's folder: drivers and pipelines, shared by all hosts, and a folder of its own for each. */
  readonly folder: string
  readonly name: string
  readonly store: string
  readonly leaseTtlMs: number
}

/**
 * A place for one host of the executable, always on the same data folder. Whenever the process ends it is started again,
 * as an init system would, until {@link close}. What it says stays in the folder.
 */
export class HostSlot {
  readonly #options: HostSlotOptions
  #child: Bun.Subprocess | undefined
  #life: Promise<void> | undefined
  #closed = false
  /** Until then nobody starts it again. */
  #downUntil = 0
  /** Where its API answers now; undefined while it is not up. */
  url: string | undefined
  hostId: string | undefined
  starts = 0
  /** Something is done to it: nothing else is, meanwhile. */
  busy = false

  constructor(options: HostSlotOptions) {
    this.#options = options
  }

  get data(): string {
    return join(this.#options.folder, this.#options.name)
  }

  /** Starts it, for as long as the slot is open. Resolves when it answers for the first time. */
  async open(): Promise<void> {
    await mkdir(this.data, { recursive: true })
    this.#life = this.#live()
    await this.up()
  }

  /** Resolves when it answers. */
  async up(): Promise<void> {
    await until(`${this.#options.name} answers`, () => this.url !== undefined, 60_000)
  }

  /** `kill -9`; nobody starts it again for this long. */
  async kill(downMs: number): Promise<void> {
    await this.#end("SIGKILL", downMs)
  }

  /** SIGTERM: it drains, and is started again. */
  async restart(): Promise<void> {
    await this.#end("SIGTERM", 0)
  }

  /** SIGSTOP, and SIGCONT after this long. */
  async pause(ms: number): Promise<void> {
    const child = this.#child
    child?.kill("SIGSTOP")
    await Bun.sleep(ms)
    child?.kill("SIGCONT")
  }

  /** Ends it for good. */
  async close(signal: NodeJS.Signals): Promise<void> {
    this.#closed = true
    this.#child?.kill(signal)
    await this.#life
  }

  async #end(signal: NodeJS.Signals, downMs: number): Promise<void> {
    const child = this.#child
    this.#downUntil = performance.now() + downMs
    this.url = undefined
    child?.kill(signal)
    await child?.exited
  }

  async #live(): Promise<void> {
    while (!this.#closed) {
      if (performance.now() >= this.#downUntil) await this.#liveOnce()
      await Bun.sleep(50)
    }
  }

  async #liveOnce(): Promise<void> {
    const { executable, folder, store, leaseTtlMs } = this.#options
    const life = String(++this.starts).padStart(4, "0")
    const out = join(this.data, `out-${life}.txt`)
    const [stdout, stderr] = [openSync(out, "w"), openSync(join(this.data, `log-${life}.jsonl`), "w")]
    const folders = [
      "--drivers",
      join(folder, "drivers"),
      "--pipelines",
      join(folder, "pipelines"),
      "--data",
      this.data,
    ]
    const limits = ["--lease-ttl", `${leaseTtlMs}ms`, "--grace", "1s", "--keep-runs", "1000000"]
    const child = Bun.spawn(
      [executable, "serve", "--port", "0", "--store", store, "--log-level", "info", ...folders, ...limits],
      { cwd: this.data, env: { PATH: "/usr/bin:/bin" }, stdio: ["ignore", stdout, stderr] },
    )
    this.#child = child
    // Also when the soak is interrupted, which unwinds no scope.
    const kill = () => child.kill("SIGKILL")
    process.once("exit", kill)
    while (child.exitCode === null && child.signalCode === null && this.url === undefined) {
      const url = /^listening on (\S+)$/m.exec(await Bun.file(out).text())?.[1]
      if (url !== undefined) await this.#meet(url)
      else await Bun.sleep(20)
    }
    await child.exited
    this.url = undefined
    process.off("exit", kill)
    closeSync(stdout)
    closeSync(stderr)
  }

  async #meet(url: string): Promise<void> {
    const health = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) }).catch(() => undefined)
    const { hostId } = ((await health?.json().catch(() => undefined)) ?? {}) as { hostId?: string }
    if (hostId === undefined) return await Bun.sleep(50)
    this.hostId = hostId
    this.url = url
  }
}
