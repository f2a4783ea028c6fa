import { expect } from "bun:test"
import { join } from "node:path"
import pino from "pino"
import { loadConfig } from "../../src/config.ts"
import { messageOf } from "../../src/errors.ts"
import { startHost } from "../../src/host.ts"
import type { LogLine } from "../../src/model/log.ts"
import type { RunView, StepView } from "../../src/model/run-view.ts"
import { openEtcd } from "../../src/store/etcd.ts"
import { activeRunKey, parseRunKey, prefixes } from "../../src/store/keys.ts"
import type { Store } from "../../src/store/store.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"
import { patient } from "./patient-store.ts"
import { Witness } from "./witness.ts"

/* Real hosts on a real etcd, under constant load, and what must be true of them whatever happened meanwhile. */

const linesOfStep = ["one", "two", "three", "four", "five"]
/** A step says that it was started, where every host can see it, and prints lines whose order can be checked. */
const script = (marks: string) => `printf '%s\\n' "$CONVEYOR_ATTEMPT" >> ${marks}
for line in ${linesOfStep.join(" ")}; do echo $line; done`

export interface LiveHost {
  readonly url: string
  readonly hostId: string
  /** What it logged, warnings and errors, each with its cause behind it. */
  readonly said: readonly string[]
  stop(): Promise<void>
}

export interface HostOptions {
  readonly endpoints: readonly string[]
  /** Settings of `conveyor serve`, beyond those that every host of a fleet has. */
  readonly settings?: Readonly<Record<string, string>>
}

export interface LiveFleet extends AsyncDisposable {
  readonly store: Store
  /** Holds the pipelines, and the data folders of hosts. */
  readonly folder: string
  /** The settings of the next host. */
  settings(options: HostOptions): Readonly<Record<string, string>>
  /** Starts a host in this process; it ends with the fleet. */
  host(options: HostOptions): Promise<LiveHost>
  /** Waits until these runs have ended. */
  haveEnded(runIds: readonly string[]): Promise<void>
  /**
   * Waits until no run is active, and checks that every acknowledged one succeeded, each step by an attempt whose lines
   * are all there, in order, on the host that made it; that no attempt was started twice; that all that happened in the
   * store was allowed; and that nothing of it is left over.
   */
  nothingIsLost(acknowledged: readonly string[], hosts: readonly LiveHost[]): Promise<void>
}

export interface FleetOptions {
  /** Whether all that happens in the store is followed; not for when history is to be lost. Default: true. */
  readonly history?: boolean
  /** The label, as key=value, of the hosts that alone may do the work. Default: all hosts may. */
  readonly pinnedTo?: string
}

/** Prepares a store of its own in the etcd at these endpoints. */
export async function startFleet(
  endpoints: readonly string[],
  { history = true, pinnedTo }: FleetOptions = {},
): Promise<LiveFleet> {
  const prefix = `${crypto.randomUUID()}/`
  const folder = await tempFolder()
  const marks = join(folder.path, "marks")
  await Bun.write(marks, "")
  await Bun.write(join(folder.path, "pipelines/line.yaml"), pipeline(marks, pinnedTo))
  const store = await openEtcd({ endpoints, prefix })
  const witness = new Witness(patient(store))
  const followed = new AbortController()
  const following = history ? witness.follow(followed.signal) : Promise.resolve()
  following.catch((error: unknown) => witness.fail(messageOf(error)))
  const hosts: LiveHost[] = []
  let started = 0

  const settings = (options: HostOptions) => ({
    port: "0",
    data: join(folder.path, `data-${++started}`),
    drivers: join(folder.path, "drivers"),
    pipelines: join(folder.path, "pipelines"),
    store: `etcd://${options.endpoints.map((endpoint) => new URL(endpoint).host).join(",")}/${prefix}`,
    "lease-ttl": "4s",
    grace: "1s",
    ...options.settings,
  })

  return {
    store,
    folder: folder.path,
    settings,
    async host(options) {
      const config = await loadConfig({ flags: settings(options), env: {}, cwd: folder.path })
      const said: string[] = []
      const log = pino({ level: "warn" }, { write: (line: string) => void said.push(sentenceOf(line)) })
      const { url, hostId, stop } = await startHost(config, { log })
      const host = { url, hostId, said, stop }
      hosts.push(host)
      await defineParts(url)
      return host
    },
    async haveEnded(runIds) {
      await until("these runs have ended", async () => {
        const active = new Set((await store.list(prefixes.activeRuns)).entries.map(({ key }) => key))
        return !runIds.some((runId) => active.has(activeRunKey(runId)))
      })
    },
    async nothingIsLost(acknowledged, ofHosts) {
      const ended = until(
        "no run is active",
        async () => (await store.list(prefixes.activeRuns)).entries.length === 0,
        30_000,
      ).catch((error: Error) => {
        throw new Error(`${error.message}\n${witness.describe(witness.runsThat("have not ended"))}`)
      })
      await Promise.race([witness.broken, ended])
      if (history) {
        await until("all that happened was seen", () => witness.runsThat("have not ended").length === 0)
        witness.expectAllEnded(acknowledged)
        expect(witness.breaches).toEqual([])
      }
      const { entries } = await store.list(prefixes.runs)
      const left = entries.filter(({ key }) => parseRunKey(key)?.type === "claim")
      expect(left).toEqual([])
      const begun = (await Bun.file(marks).text()).trimEnd().split("\n")
      expect(begun.filter((mark, index) => begun.indexOf(mark) !== index)).toEqual([])
      for (const runId of acknowledged) {
        const run = await getJson<RunView>(`${ofHosts[0]?.url}/runs/${runId}`)
        expect(run).toMatchObject({ status: "succeeded" })
        for (const step of run.steps) await checkStep(runId, step, { begun, hosts: ofHosts })
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(hosts.map((host) => host.stop()))
      followed.abort()
      await following.catch(() => {})
      await store[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** Settings as they are typed. */
export function argumentsOf(settings: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
}

function pipeline(marks: string, pinnedTo: string | undefined): string {
  const step = (id: string) =>
    `  - { id: ${id}, driver: shell, with: ${JSON.stringify({ run: script(marks) })} }\n`
  const host = pinnedTo === undefined ? "" : `host: { ${pinnedTo.replace("=", ": ")} }\n`
  return `name: line\nresource: part\n${host}steps:\n${step("first")}${step("second")}`
}

/** The definition of what is submitted. Every host of a fleet asks for it, and it is there once. */
async function defineParts(url: string): Promise<void> {
  const response = await fetch(`${url}/resource-definitions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "part", schema: {} }),
  })
  if (!response.ok && response.status !== 409) throw new Error(await response.text())
}

async function checkStep(
  runId: string,
  step: StepView,
  { begun, hosts }: { readonly begun: readonly string[]; readonly hosts: readonly LiveHost[] },
): Promise<void> {
  expect(begun).toContain(`${runId}/${step.id}/${step.attempt}`)
  const host = hosts.find(({ hostId }) => hostId === step.hostId)
  const lines = await getJson<readonly LogLine[]>(`${host?.url}/logs?runid=${runId}`)
  const own = lines.filter((line) => line.step === step.id && line.attempt === step.attempt)
  expect(own.filter(({ stream }) => stream === "stdout").map(({ message }) => message)).toEqual(linesOfStep)
}

async function getJson<T>(url: string): Promise<T> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as T
}

/** An entry of a host's log as one sentence. */
function sentenceOf(line: string): string {
  const { msg, err } = JSON.parse(line) as {
    readonly msg: string
    readonly err?: { readonly message: string }
  }
  return err === undefined ? msg : `${msg}: ${err.message}`
}
