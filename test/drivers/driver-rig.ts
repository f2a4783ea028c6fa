import { chmod, mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { createDriverHost } from "../../src/drivers/create-driver-host.ts"
import { type Attempt, AttemptAbort, type DriverHost } from "../../src/drivers/driver-host.ts"
import type { AttemptResult, DriverResult } from "../../src/model/driver.ts"
import type { LogLine, UnwrittenLogLine } from "../../src/model/log.ts"
import { shopAttempt } from "../rig/shop.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"

/** An attempt that a test has started. */
export interface StartedAttempt {
  readonly result: Promise<AttemptResult>
  readonly lines: UnwrittenLogLine[]
  readonly runId: string
  readonly workspace: string
  readonly token: string
  /** Without `graceMs` it has the grace period it was started with. */
  abort(message?: string, graceMs?: number): void
  /** The messages of one stream so far. */
  messages(stream?: LogLine["stream"]): string[]
  /** Waits for a line and answers its message. */
  line(text: string): Promise<string>
}

/** A driver host on folders of its own. */
export interface DriverRig extends AsyncDisposable {
  readonly host: DriverHost
  readonly folder: string
  readonly data: string
  /** Writes a file of the drivers folder; mode 0o755 makes it an executable. */
  write(file: string, text: string, mode?: number): Promise<void>
  attempt(driver: string, overrides?: Partial<Attempt>): StartedAttempt
  run(driver: string, input?: Attempt["input"]): Promise<DriverResult & { readonly attempt: StartedAttempt }>
  hashOf(driver: string): string
}

/** A started driver host whose folder holds these files. Every attempt has a workspace and a token of its own. */
export async function openDrivers(
  files: Readonly<Record<string, string>> = {},
  options: Pick<Parameters<typeof createDriverHost>[0], "log" | "workerBytesMax"> = {},
): Promise<DriverRig> {
  const temp = await tempFolder()
  const folder = join(temp.path, "drivers")
  const data = join(temp.path, "data")
  const host = createDriverHost({ folder, data, ...options })
  let attempts = 0

  async function write(file: string, text: string, mode = file.includes(".") ? 0o644 : 0o755): Promise<void> {
    const path = join(folder, file)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
    await chmod(path, mode)
  }

  function hashOf(driver: string): string {
    const found = host.find(driver)
    if (found === undefined)
      throw new Error(`No driver "${driver}"; faults: ${JSON.stringify(host.faults())}`)
    return found.hash
  }

  function attempt(driver: string, overrides: Partial<Attempt> = {}): StartedAttempt {
    const lines: UnwrittenLogLine[] = []
    const abort = new AbortController()
    const id = ++attempts
    const workspace = overrides.workspace ?? join(temp.path, "workspaces", String(id))
    // Of its own: by it an attempt's processes are found, and other tests run on this machine.
    const runId = `run-${Bun.randomUUIDv7()}`
    const token = `${runId}/step/${id}`
    const result = host.run({
      driver: { name: driver, hash: overrides.driver?.hash ?? hashOf(driver) },
      ...shopAttempt,
      runId,
      token,
      log: async (batch) => {
        for (const line of batch) lines.push(line)
      },
      ...overrides,
      workspace,
      signal: abort.signal,
      killSignal: overrides.killSignal ?? new AbortController().signal,
    })
    return {
      result,
      lines,
      runId,
      workspace,
      token,
      abort: (message = "took too long", graceMs) =>
        abort.abort(new AttemptAbort("timeout", message, graceMs === undefined ? {} : { graceMs })),
      messages: (stream) =>
        lines.filter((line) => stream === undefined || line.stream === stream).map((line) => line.message),
      line: (text) =>
        until(`the log says "${text}"`, () => lines.find(({ message }) => message.includes(text))?.message),
    }
  }

  for (const [file, text] of Object.entries(files)) await write(file, text)
  await host.start()
  return {
    host,
    folder,
    data,
    write,
    attempt,
    hashOf,
    async run(driver, input = {}) {
      const started = attempt(driver, { input })
      return { ...(await started.result), attempt: started }
    },
    async [Symbol.asyncDispose]() {
      await host[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
    },
  }
}

/** Is this process alive, and no zombie? */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = await Bun.file(`/proc/${pid}/stat`)
    .text()
    .catch(() => "")
  return stat !== "" && !/\) [ZX]/.test(stat)
}
