import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import { pipelineOf } from "../rig/belt.ts"
import type { Random } from "../rig/random.ts"
import type { Course } from "../rig/simulated-drivers.ts"

/** The drivers there are; the last two reconcile resources without a pipeline too. */
export const driverNames = ["fetch", "build", "check", "ship"] as const
export const resourcesOf = (driver: string) => (driver === "check" || driver === "ship" ? ["app"] : [])

const stepCountMax = 5
const timeoutMs = 3_000

export interface WorkOptions {
  readonly random: Random
  /** Its number, which stands in the metadata, where every driver sees it. */
  readonly edit: number
  readonly onceChance: number
  readonly labelChance: number
  /** Values of the label `zone` that hosts have. */
  readonly zones: readonly string[]
}

/** An edit of the pipeline: other steps each time. */
export function randomPipeline({ random, edit, onceChance, labelChance, zones }: WorkOptions): Pipeline {
  const steps = Array.from({ length: 1 + random.below(stepCountMax) }, (_, index) => {
    const step: PipelineSource["steps"][number] = {
      id: `s${index}`,
      driver: random.pick(driverNames),
      ...(random.chance(0.2) ? { timeout: timeoutMs, with: { mayHang: true } } : {}),
      ...(random.chance(0.3)
        ? { retry: { attempts: 1 + random.below(3), backoff: random.below(1_000) } }
        : {}),
      ...(random.chance(onceChance) ? { effects: "once" as const } : {}),
    }
    // Without `needs` a step follows the one above.
    if (random.chance(0.5)) return step
    const needs = Array.from({ length: index }, (_, need) => `s${need}`).filter(() => random.chance(0.4))
    return { ...step, needs }
  })
  const host = random.chance(labelChance) ? { host: { zone: random.pick(zones) } } : {}
  return pipelineOf({ metadata: { edit }, ...host, steps })
}

export interface CourseOptions {
  readonly random: Random
  readonly failChance: number
}

/** Most attempts are quick and succeed; some are slow, fail, or hang until their timeout. Every other probe can tell. */
export function randomCourse(attempt: Attempt, { random, failChance }: CourseOptions): Course {
  const hangs = attempt.input["mayHang"] === true && random.chance(0.3)
  const durationMs = random.chance(0.1)
    ? 2_000 + random.below(random.pick([3_000, 30_000]))
    : random.below(400)
  const success = random.chance(attempt.probing === true ? 0.6 : 1 - failChance)
  const message = `${attempt.stepId}#${attempt.attempt} ${success ? "is done" : "is broken"}`
  return {
    durationMs: hangs ? 10 * timeoutMs : durationMs,
    result: {
      success,
      message,
      ...(attempt.probing === true && random.chance(0.6) ? { probed: true } : {}),
    },
    endingMs: random.below(3_000),
  }
}
