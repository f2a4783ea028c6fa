import { appendFileSync } from "node:fs"
import { mkdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { findProcesses } from "../../../src/drivers/process-marks.ts"
import { openEtcd } from "../../../src/store/etcd.ts"
import { prefixes } from "../../../src/store/keys.ts"
import { startEtcd } from "../../rig/etcd.ts"
import { randomFrom } from "../../rig/random.ts"
import { patient } from "../patient-store.ts"
import { Witness } from "../witness.ts"
import { HostSlot } from "./host-slot.ts"
import { faultsOfJournal } from "./journal.ts"
import { SoakClients } from "./soak-clients.ts"
import { SoakFiles } from "./soak-files.ts"
import type { SoakReport } from "./soak-report.ts"
import { SoakTrouble } from "./soak-trouble.ts"
import { Takeovers } from "./takeovers.ts"

export interface SoakOptions {
  readonly executable: string
  readonly forMs: number
  readonly hosts: number
  /** `etcd` is one of the soak's own, which dies too; else `etcd://HOST:PORT`. */
  readonly store: string
  readonly seed: number
  /** A folder that is not there yet. Removed at the end, unless a promise was broken. */
  readonly folder: string
  readonly runsPerSecond: number
  readonly faultEveryMs: number
  readonly lineEveryMs: number
  readonly onLine: (report: SoakReport) => void
}

export interface SoakVerdict extends SoakReport {
  /** Each promise that was broken, in words. */
  readonly sentences: readonly string[]
}

const leaseTtlMs = 2_000
/** How long runs may take to end once nothing goes wrong any more. */
const recoveryMs = 120_000
const lookMs = 50

/**
 * Real hosts of the executable on one real etcd, with constant submissions, while hosts and etcd are killed, stopped and
 * started again and files are edited. A witness reads every revision of every run from etcd and judges it.
 */
export async function runSoak(options: SoakOptions): Promise<SoakVerdict> {
  const { executable, folder, seed, hosts } = options
  const startedAt = performance.now()
  await using scope = new AsyncDisposableStack()
  await mkdir(folder, { recursive: true })
  const etcd = options.store === "etcd" ? scope.use(await startEtcd()) : undefined
  const endEtcd = () => void etcd?.kill()
  process.once("exit", endEtcd)
  scope.defer(() => void process.off("exit", endEtcd))
  const endpoint = etcd === undefined ? new URL(options.store).host : new URL(etcd.endpoint).host
  const prefix = `soak-${Bun.randomUUIDv7()}`
  const random = randomFrom(seed)
  const files = await SoakFiles.in(folder, random)

  const store = scope.use(await openEtcd({ endpoints: [endpoint], prefix: `${prefix}/` }))
  const takeovers = new Takeovers()
  const witness = new Witness(patient(store), {
    onStart: (before, after) => takeovers.started(before, after),
  })
  const watching = new AbortController()
  scope.defer(() => watching.abort())
  const { revision } = await store.list(prefixes.runs, { limit: 1 })
  const watched = (async () => {
    for await (const changes of store.watch(prefixes.runs, revision, watching.signal)) {
      const lines = changes.map((change) => `${JSON.stringify({ at: Date.now(), change })}\n`)
      appendFileSync(join(folder, "history.jsonl"), lines.join(""))
      await witness.observe(changes)
    }
  })().catch((error: unknown) => witness.fail(`the witness lost sight of the store: ${String(error)}`))

  const slots = Array.from(
    { length: hosts },
    (_, index) =>
      new HostSlot({
        executable,
        folder,
        name: `host-${index + 1}`,
        store: `etcd://${endpoint}/${prefix}`,
        leaseTtlMs,
      }),
  )
  scope.defer(async () => void (await Promise.all(slots.map((slot) => slot.close("SIGKILL")))))
  await Promise.all(slots.map((slot) => slot.open()))

  const onBreach = (sentence: string) => witness.fail(sentence)
  const clients = new SoakClients({
    slots,
    folder,
    random: randomFrom(seed + 1),
    perSecond: options.runsPerSecond,
    onBreach,
  })
  const onDown = (hostId: string) => takeovers.down(hostId)
  const trouble = new SoakTrouble({
    slots,
    files,
    etcd,
    random,
    leaseTtlMs,
    everyMs: options.faultEveryMs,
    onDown,
  })
  const report = (): SoakReport => {
    const { changes, starts, ends } = witness.counts
    return {
      seconds: (performance.now() - startedAt) / 1_000,
      submitted: clients.submitted,
      acknowledged: clients.acknowledged.size,
      ended: ends,
      open: witness.runsThat("have not ended").length,
      lost: 0,
      transitions: changes,
      breaches: witness.breaches.length,
      attempts: starts,
      ...takeovers.summary,
      ...trouble.counts,
    }
  }
  const lines = setInterval(() => options.onLine(report()), options.lineEveryMs)
  scope.defer(() => clearInterval(lines))
  const asked = setInterval(() => {
    for (const question of witness.asking) void clients.resolve(question)
  }, 500)
  scope.defer(() => clearInterval(asked))

  const over = AbortSignal.timeout(options.forMs)
  await Promise.all([clients.submitUntil(over), trouble.strikeUntil(over)])

  // Nothing goes wrong any more: now everything has to end.
  const isOver = () =>
    witness.runsThat("have not ended").length === 0 &&
    [...clients.acknowledged].every((runId) => witness.headerOf(runId) !== undefined)
  for (const deadline = performance.now() + recoveryMs; !isOver() && performance.now() < deadline; ) {
    await Bun.sleep(lookMs)
  }
  const stuck = witness.runsThat("have not ended")
  const lost =
    stuck.length + [...clients.acknowledged].filter((runId) => witness.headerOf(runId) === undefined).length
  if (stuck.length > 0) witness.fail(`runs are stuck:\n${witness.describe(stuck)}`)
  await Promise.all(slots.map((slot) => slot.close("SIGTERM")))
  watching.abort()
  await watched

  witness.expectAllEnded(clients.acknowledged)
  for (const runId of witness.runsThat("have ended")) {
    if (!clients.acknowledged.has(runId)) witness.fail(`run ${runId} belongs to no submission`)
  }
  for (const sentence of await faultsOfJournal({ folder, slots, witness })) witness.fail(sentence)
  for (const { data } of slots) {
    const left = findProcesses({ type: "data", data })
    if (left.length > 0) witness.fail(`processes of attempts in ${data} are left: ${left.join(", ")}`)
  }
  if (witness.breaches.length === 0) await rm(folder, { recursive: true, force: true })
  else await Bun.write(join(folder, "breaches.txt"), `${witness.breaches.join("\n")}\n`)
  return { ...report(), lost, sentences: witness.breaches }
}
