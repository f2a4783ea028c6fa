import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { findProcesses } from "../../src/drivers/process-marks.ts"
import type { StepState } from "../../src/model/run.ts"
import type { RunView } from "../../src/model/run-view.ts"
import { sha256 } from "../../src/results/result-store.ts"
import { openEtcd } from "../../src/store/etcd.ts"
import { startEtcd } from "../rig/etcd.ts"
import { buildExecutable } from "../rig/executable.ts"
import { tempFolder } from "../rig/temp-folder.ts"
import { until } from "../rig/until.ts"
import { CrashingHost, isAsking, type Scene } from "./crashing-host.ts"
import { faultOfLog } from "./note-driver.ts"
import { Witness } from "./witness.ts"

/*
 * The executable dies by SIGKILL at each of its commits in turn: the commit is durable, its answer lost. It is started
 * again on the same data folder, dies once more at the same count, and is started a third time. Whatever was there when
 * it died must be there at the end, and the end must be the one without a crash.
 */

type Shape = Pick<Scene, "pipeline" | "drivers"> & { readonly name: string; readonly ends: string }

/** Its first step gives what is too large for a record, and its second one takes it. */
const sequence = [
  { id: "clone", driver: "work", with: { gives: 200_000 } },
  { id: "build", driver: "work", with: { takes: 200_000, text: `\${{ results.clone.data.text }}` } },
  { id: "ship", driver: "work" },
]

const onceOnly: Shape = {
  name: "a step that must happen once",
  drivers: ["work"],
  pipeline: {
    steps: [
      { id: "pay", driver: "work", effects: "once" },
      { id: "tell", driver: "work" },
    ],
  },
  ends: "succeeded",
}

const shapes: readonly Shape[] = [
  { name: "a sequence", drivers: ["work"], pipeline: { steps: sequence }, ends: "succeeded" },
  {
    name: "a graph with a join",
    drivers: ["work"],
    pipeline: {
      steps: [
        { id: "clone", driver: "work" },
        { id: "left", driver: "work", needs: ["clone"] },
        { id: "right", driver: "work", needs: ["clone"] },
        { id: "join", driver: "work", needs: ["left", "right"] },
      ],
    },
    ends: "succeeded",
  },
  {
    name: "a step that is tried again",
    drivers: ["work"],
    pipeline: {
      steps: [
        { id: "flaky", driver: "work", with: { goodFrom: 2 }, retry: { attempts: 20, backoff: 1 } },
        { id: "after", driver: "work" },
      ],
    },
    ends: "succeeded",
  },
  { name: "a resource without a pipeline", drivers: ["audit", "deploy", "notify"], ends: "succeeded" },
  onceOnly,
]

/** How a run ended, without what a crash may change: the numbers of attempts; and without its id. */
function endingOf({ runId, status, message, steps }: RunView) {
  const ends = steps.map(({ id, status, result }) => ({ id, status, result }))
  return { status, message, steps: JSON.stringify(ends).replaceAll(runId, "") }
}

/** A store as it was found after a crash. */
type Entries = ReadonlyMap<string, string>

/** One play of a shape, dying at this commit of the first two processes; never, without a number. */
class Play {
  readonly #host: CrashingHost
  readonly #read: () => Promise<Entries>
  readonly #acknowledged = new Set<string>()
  readonly #found: Entries[] = []
  /** Whole lines of the log when a process had died. */
  readonly #logged: string[] = []
  /** Processes that died at a commit. */
  deaths = 0

  /** `read` answers all that the store holds while no process runs. */
  constructor(host: CrashingHost, read: () => Promise<Entries>) {
    this.#host = host
    this.#read = read
  }

  /** Plays to the end; the processes die at these commits, one after the other, if they get that far. */
  async end(killAfter: readonly number[]): Promise<RunView> {
    for (const number of [...killAfter, undefined]) {
      const run = await this.#goOn(number).catch((error: unknown) => {
        if (number === undefined) throw error
      })
      if (run !== undefined) {
        await this.#host.kill()
        await this.#look()
        return run
      }
      await this.#host.died()
      this.deaths++
      await this.#look()
    }
    throw new Error("the last process dies at no commit")
  }

  async #goOn(killAfter: number | undefined): Promise<RunView | undefined> {
    if (!(await this.#host.start(killAfter))) return undefined
    const runId = await this.#host.submit()
    this.#acknowledged.add(runId)
    for (;;) {
      const run = await this.#host.settled(runId)
      const asking = run.steps.find(isAsking)
      if (asking === undefined) return run
      await this.#host.resolve(runId, asking.id)
    }
  }

  async #look(): Promise<void> {
    const entries = await this.#read()
    this.#found.push(entries)
    await this.#expectData(entries)
    for (const runId of this.#acknowledged) {
      this.#logged.push(JSON.stringify(await this.#host.log(runId)).slice(0, -1))
    }
  }

  /** Everything that must be so however often it died. */
  async expectPromises(run: RunView): Promise<void> {
    expect([...this.#acknowledged]).toEqual([run.runId])
    const last = this.#found.at(-1) ?? new Map()
    expect([...last.keys()].filter((key) => /^runs\/(claim|active)\//.test(key))).toEqual([])
    expect([...last.keys()].filter((key) => key.startsWith("runs/header/"))).toHaveLength(1)
    expect(findProcesses({ type: "data", data: this.#host.data })).toEqual([])
    this.#expectEndsStand()
    await this.#expectLog(run.runId)
    await this.#expectAttempts(run)
  }

  /** What a result refers to is on the disk, whole. */
  async #expectData(entries: Entries): Promise<void> {
    for (const [key, value] of entries) {
      const state = key.startsWith("runs/step/") ? (JSON.parse(value) as StepState) : undefined
      const ref = state !== undefined && "result" in state ? state.result.dataRef : undefined
      if (ref !== undefined) expect(sha256(await this.#host.dataOf(ref))).toBe(ref.sha256)
    }
  }

  /** What had ended when it died was not touched again. */
  #expectEndsStand(): void {
    for (const [index, entries] of this.#found.entries()) {
      for (const [key, value] of entries) {
        const isState = /^runs\/(step|header)\//.test(key)
        if (!isState || !/"status":"(succeeded|failed|cancelled)"/.test(value)) continue
        for (const later of this.#found.slice(index)) expect(later.get(key)).toBe(value)
      }
    }
  }

  /** Every line that was there is there, in its place; every acknowledged one is there, in its order. */
  async #expectLog(runId: string): Promise<void> {
    const lines = await this.#host.log(runId)
    const text = JSON.stringify(lines)
    for (const earlier of this.#logged) expect(text.startsWith(earlier)).toBe(true)
    expect(faultOfLog(lines, await this.#host.notes())).toBeUndefined()
  }

  /** Each number is given to one attempt, and what must happen once has happened once. */
  async #expectAttempts(run: RunView): Promise<void> {
    const begun = (await this.#host.notes()).filter(({ word }) => word === "begun")
    const names = begun.map(({ step, attempt }) => `${step}#${attempt}`)
    expect(new Set(names).size).toBe(names.length)
    for (const { id, status, attempt } of run.steps) {
      if (status === "succeeded") expect(names).toContain(`${id}#${attempt}`)
    }
    const done = (await this.#host.notes()).filter(({ step, word }) => step === "pay" && word === "done")
    expect(done.length).toBeLessThanOrEqual(1)
  }
}

/** Plays at the same time: most of a play is waiting. */
const atOnce = 5

/** Hundreds of starts of a process take long on a machine that does much else. */
const patienceMs = 600_000

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

/** Plays the shape in a new folder and answers how it ended, and how often it died. */
async function play(scene: Omit<Scene, "executable">, killAfter: readonly number[]) {
  await using host = await CrashingHost.in({ ...scene, executable: executable.path })
  const playing = new Play(host, async () => host.entries())
  const run = await playing.end(killAfter)
  await playing.expectPromises(run)
  return { ending: endingOf(run), deaths: playing.deaths }
}

type Played = Awaited<ReturnType<typeof play>>

/** Plays with each number from 1 on, until no process dies: each must end as the one did that never dies. */
async function expectSameEnd(
  playOnce: (name: string, number?: number) => Promise<Played>,
  ends: string,
): Promise<void> {
  const { ending } = await playOnce("unharmed")
  expect(ending.status).toBe(ends as typeof ending.status)
  for (let first = 1, struck = true; struck; first += atOnce) {
    const numbers = Array.from({ length: atOnce }, (_, index) => first + index)
    const plays = await Promise.all(
      numbers.map(async (number) => ({ number, ...(await playOnce(String(number), number)) })),
    )
    for (const { number, ending: inspite } of plays) {
      expect({ number, ...inspite }).toEqual({ number, ...ending })
    }
    struck = plays.every(({ deaths }) => deaths > 0)
    // The files, the host's record, the submission, the code, a start, a result: at least these.
    if (!struck) expect(first + plays.filter(({ deaths }) => deaths > 0).length).toBeGreaterThan(6)
  }
}

describe.each(shapes)("$name, in the executable", ({ name: _, ends, ...shape }) => {
  test(
    "ends the same when it is killed twice, whichever commit it is",
    async () => {
      await using folder = await tempFolder()
      await expectSameEnd(async (name, number) => {
        const path = join(folder.path, name)
        await mkdir(path)
        return await play({ ...shape, folder: path }, number === undefined ? [] : [number, number])
      }, ends)
    },
    patienceMs,
  )
})

/** The same on etcd, where a witness sees every revision of every run. */
async function playOnEtcd(scene: Omit<Scene, "executable">, killAfter: readonly number[]) {
  const url = new URL(scene.store ?? "")
  const prefix = `${url.pathname.slice(1)}/`
  await using store = await openEtcd({ endpoints: [url.host], prefix })
  const witness = new Witness(store)
  const stop = new AbortController()
  const { revision } = await store.list("", { limit: 1 })
  const following = witness.follow(stop.signal, revision)
  await using host = await CrashingHost.in({ ...scene, executable: executable.path })
  const playing = new Play(host, async () => {
    const { entries } = await store.list("")
    return new Map(entries.map(({ key, value }) => [key, value]))
  })
  const run = await playing.end(killAfter)
  await playing.expectPromises(run)
  await until("the witness has seen the end", () => witness.runsThat("have ended").includes(run.runId))
  stop.abort()
  await following
  witness.expectAllEnded([run.runId])
  expect(witness.breaches).toEqual([])
  return { ending: endingOf(run), deaths: playing.deaths }
}

describe("a run on etcd", () => {
  test(
    "ends the same when its host is killed, whichever commit it is",
    async () => {
      await using etcd = await startEtcd()
      await using folder = await tempFolder()
      const { name: _, ends, ...shape } = onceOnly
      await expectSameEnd(async (name, number) => {
        const path = join(folder.path, name)
        await mkdir(path)
        const store = `etcd://${new URL(etcd.endpoint).host}/${name}`
        return await playOnEtcd({ ...shape, folder: path, store }, number === undefined ? [] : [number])
      }, ends)
    },
    patienceMs,
  )
})
