import { describe, expect, test } from "bun:test"
import type { DriverResult } from "../../src/model/driver.ts"
import type { RunStatus, StepStatus } from "../../src/model/run.ts"
import { openSqlite } from "../../src/store/sqlite.ts"
import { cancelRun, ended, save, stepIn, submit, view } from "../rig/belt.ts"
import { MemoryResults } from "../rig/memory-results.ts"
import { SimulatedHost } from "../rig/simulated-host.ts"
import type { Fate } from "../rig/store-connection.ts"
import { until } from "../rig/until.ts"
import { runVirtually } from "../rig/virtual-clock.ts"
import { languageShapes } from "./language-shapes.ts"
import { Ledger } from "./ledger.ts"
import { type Shape, shapes } from "./shapes.ts"

/*
 * The engine dies at each of its commits in turn: right after it, so that the commit is durable and its answer lost,
 * or right before it. A new host then finds the store as it was left. Time is virtual, the engine and the store are
 * the real ones, and each trial is the same every time.
 */

/** How a run ended, without what a crash may change: the numbers of attempts and the words of a cancelled one. */
interface Ending {
  readonly status: RunStatus
  readonly message: string | undefined
  readonly steps: readonly {
    readonly id: string
    readonly status: StepStatus
    readonly result: Pick<DriverResult, "success" | "message"> | undefined
  }[]
}

interface Trial {
  readonly ending: Ending
  /** Was there a commit with that number? */
  readonly struck: boolean
}

const stepMs = 100
/** Longer than anybody waits. */
const endlessMs = 600_000
const lateMs = 5_000
/** Runs the shape, with this fate for the commit with this number of the first host. */
function trial(shape: Shape, fate: Fate, commitNumber: number): Trial {
  const isSlow = (stepId: string) =>
    shape.slow?.includes(stepId) === true ||
    stepId === shape.cancelledIn ||
    (shape.cancelledIn !== undefined && stepId === "right")
  return runVirtually(async (clock) => {
    await using store = await openSqlite(":memory:")
    const results = new MemoryResults("folder")
    const ledger = new Ledger(store, { hasData: (ref) => results.has(ref) })
    const stop = new AbortController()
    const following = ledger.witness.follow(stop.signal)
    let commits = 0
    let late = shape.lateDriver
    let mended: Shape["mendedDriver"]
    const hosts: SimulatedHost[] = []
    const start = async (fateOf: () => Fate) => {
      const hostId = `host-${hosts.length + 1}`
      const host = new SimulatedHost({
        hostId,
        clock,
        store,
        results,
        fateOf,
        onApplied: (_, revision) => ledger.applied(hostId, revision),
        drivers: {
          courseOf: (attempt) => ({
            durationMs: isSlow(attempt.stepId) ? endlessMs : stepMs,
            result: shape.answer(attempt),
            endingMs: 10,
            defers: shape.defers?.[attempt.stepId] ?? [],
          }),
          onStart: (attempt) => ledger.started(hostId, attempt),
          onEnd: (attempt, result) => ledger.ended(hostId, attempt, result),
        },
      })
      for (const { name, resources = [] } of shape.drivers) {
        if (name !== late) host.drivers.add(name, { resources })
        if (name === mended?.name) host.drivers.add(name, { ...mended, resources })
      }
      hosts.push(host)
      await Promise.race([host.start(), died(host)])
    }

    const submission = shape.pipeline === undefined ? {} : { pipeline: shape.pipeline }
    if (shape.rival === true) ledger.acknowledge(await submit(store, submission))
    const runId = await submit(store, submission)
    ledger.acknowledge(runId)
    const held = () =>
      until("the run is held", async () => (await view(store, runId)).message.startsWith("held"))
    if (shape.pipeline !== undefined && shape.mendedTo !== undefined) {
      const { mendedTo } = shape
      await save(store, shape.pipeline)
      void held().then(() => save(store, mendedTo))
    }
    if (shape.mendedDriver !== undefined) {
      const { name, hash } = shape.mendedDriver
      void held().then(() => {
        mended = { name, hash }
        for (const host of hosts) host.act(() => host.drivers.add(name, { hash }))
      })
    }
    const scenario = async (): Promise<Trial> => {
      if (late !== undefined) {
        setTimeout(() => {
          for (const host of hosts) host.act(() => host.drivers.add(late ?? ""))
          late = undefined
        }, lateMs)
      }
      if (shape.cancelledIn !== undefined) {
        void stepIn(store, runId, shape.cancelledIn, "running").then(() =>
          cancelRun(store, runId, shape.cancelledWith),
        )
      }
      await start(() => (++commits === commitNumber ? fate : "done")).catch(() => start(() => "done"))
      const end = ended(store, runId)
      const [first] = hosts
      if (first === undefined) throw new Error("there must be a first host")
      await Promise.race([end, died(first)])
      if (first.process.killed.aborted) {
        ledger.excuse(first.hostId)
        await first.endLease()
        await start(() => "done")
      }
      await end
      await until("nothing is left of the run", async () => {
        const [claims, active] = [await store.list("runs/claim/"), await store.list("runs/active/")]
        return claims.entries.length + active.entries.length === 0
      })
      return { ending: endingOf(await view(store, runId)), struck: commits >= commitNumber }
    }
    const result = await Promise.race([scenario(), ledger.witness.broken])
    ledger.expectAllEnded()
    stop.abort()
    await following
    return result
  })
}

function died(host: SimulatedHost): Promise<void> {
  const { killed } = host.process
  return new Promise((resolve) => {
    if (killed.aborted) resolve()
    else killed.addEventListener("abort", () => resolve())
  })
}

function endingOf({ status, message, steps }: Awaited<ReturnType<typeof view>>): Ending {
  return {
    status,
    message,
    steps: steps.map((step) => ({
      id: step.id,
      status: step.status,
      result:
        step.result === undefined || step.status === "cancelled"
          ? undefined
          : { success: step.result.success, message: step.result.message },
    })),
  }
}

const fates: readonly { readonly fate: Fate; readonly sentence: string }[] = [
  { fate: "killed-after", sentence: "when its host dies right after a commit" },
  { fate: "killed-before", sentence: "when its host dies right before a commit" },
  { fate: "answer-lost", sentence: "when the answer to a commit is lost" },
  { fate: "lost", sentence: "when a commit is lost on its way" },
]

describe.each([...shapes, ...languageShapes])("$name ends as it does without faults", (shape) => {
  const { ending } = trial(shape, "done", 0)

  test("which is how it is meant to end", () => {
    expect([ending.status, ...ending.steps.map(({ status }) => status)]).toEqual([...shape.ends])
  })

  test.each(fates)("$sentence, whichever commit it is", ({ fate }) => {
    let number = 1
    for (; ; number++) {
      const { ending: inspite, struck } = trial(shape, fate, number)
      if (!struck) break
      expect({ number, ...inspite }).toEqual({ number, ...ending })
    }
    // The host's record, the code of its drivers, a start, a result with the next start, the end: at least these.
    expect(number).toBeGreaterThan(5)
  })
})
