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

/** An edit of the pipeline: other steps, and its number in the metadata, where every driver sees it. */
export function randomPipeline(random: Random, edit: number): Pipeline {
  const steps = Array.from({ length: 1 + random.below(stepCountMax) }, (_, index) => {
    const step: PipelineSource["steps"][number] = {
      id: `s${index}`,
      driver: random.pick(driverNames),
      ...(random.chance(0.2) ? { timeout: timeoutMs, with: { mayHang: true } } : {}),
      ...(random.chance(0.3)
        ? { retry: { attempts: 1 + random.below(3), backoff: random.below(1_000) } }
        : {}),
    }
    // Without `needs` a step follows the one above.
    if (random.chance(0.5)) return step
    const needs = Array.from({ length: index }, (_, need) => `s${need}`).filter(() => random.chance(0.4))
    return { ...step, needs }
  })
  return pipelineOf({ metadata: { edit }, steps })
}

/** Most attempts are quick and succeed; some are slow, fail, or hang until their timeout. */
export function randomCourse(random: Random, attempt: Attempt): Course {
  const hangs = attempt.input["mayHang"] === true && random.chance(0.3)
  const durationMs = random.chance(0.1)
    ? 2_000 + random.below(random.pick([3_000, 30_000]))
    : random.below(400)
  const success = random.chance(0.9)
  return {
    durationMs: hangs ? 10 * timeoutMs : durationMs,
    result: { success, message: `${attempt.token} ${success ? "is done" : "is broken"}` },
    endingMs: random.below(3_000),
  }
}
