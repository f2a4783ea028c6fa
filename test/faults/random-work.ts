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

/** Conditions of steps: of how things went, of what there is, and of what has no value. */
const conditions = [
  "success()",
  "failure()",
  "always()",
  "!failure()",
  "run.id.endsWith('1')",
  "metadata.edit % 2 == 0",
  "failure() || metadata.edit % 3 == 0",
  "resource.spec.missing == 1",
] as const

/** An expression, as it stands in a text. */
const cel = (expression: string) => `\${{ ${expression} }}`

type StepSource = PipelineSource["steps"][number]

export interface WorkOptions {
  readonly random: Random
  /** Its number, which stands in the metadata, where every driver sees it. */
  readonly edit: number
  readonly onceChance: number
  readonly labelChance: number
  /** How often each feature of the language is used. */
  readonly languageChance: number
  /** Values of the label `zone` that hosts have. */
  readonly zones: readonly string[]
}

/** An edit of the pipeline: other steps each time. */
export function randomPipeline({ languageChance, ...options }: WorkOptions): Pipeline {
  const { random, edit, labelChance, zones } = options
  const uses = (chance = 1) => random.chance(languageChance * chance)
  const steps = Array.from({ length: 1 + random.below(stepCountMax) }, (_, index) => {
    const step = randomStep(`s${index}`, { ...options, languageChance })
    const ensured = uses(0.5) ? { ...step, ensure: randomStep(`s${index}-tidy`, options) } : step
    // Without `needs` a step follows the one above.
    if (random.chance(0.5)) {
      const reads = index > 0 && ensured.if === undefined && random.chance(0.3)
      return reads ? { ...ensured, if: sound(index - 1) } : ensured
    }
    const needs = Array.from({ length: index }, (_, need) => `s${need}`)
      .filter(() => random.chance(0.4))
      .map((need) => (uses() ? { step: need, optional: true } : need))
    return { ...ensured, needs }
  })
  const host = random.chance(labelChance) ? { host: { zone: random.pick(zones) } } : {}
  const last = uses() ? { finally: [randomStep("report", options), randomStep("last", options)] } : {}
  return pipelineOf({
    metadata: { edit, ...(uses(0.1) ? { image: cel("resource.spec.missing") } : {}) },
    ...host,
    ...(uses() ? { failFast: false } : {}),
    ...(uses(0.5) ? { maxParallel: 1 + random.below(2) } : {}),
    ...(uses(0.5) ? { timeout: 1_000 + random.below(30_000) } : {}),
    ...(uses(0.5) ? { hold: 1_000 + random.below(20_000) } : {}),
    ...(uses(0.5) ? { priority: random.below(3) } : {}),
    ...(uses(0.5)
      ? {
          concurrency: {
            key: random.pick(["shop", `edit-${cel("metadata.edit")}`, cel("resource.spec.missing")]),
            limit: 2 + random.below(2),
            policy: random.pick(["queue", "replace", "reject"] as const),
          },
        }
      : {}),
    steps,
    ...last,
  })
}

function randomStep(
  id: string,
  {
    random,
    onceChance,
    languageChance = 0,
  }: Partial<WorkOptions> & Pick<WorkOptions, "random" | "onceChance">,
): StepSource {
  const uses = (chance = 1) => random.chance(languageChance * chance)
  return {
    id,
    driver: random.pick(driverNames),
    ...(random.chance(0.2) ? { timeout: timeoutMs, with: { mayHang: true } } : {}),
    ...(random.chance(0.3)
      ? {
          retry: {
            attempts: 1 + random.below(3),
            backoff: random.below(1_000),
            ...(uses() ? { jitter: 0.5, maxBackoff: 500 } : {}),
          },
        }
      : {}),
    ...(random.chance(onceChance) ? { effects: "once" as const } : {}),
    ...(uses() ? { if: random.pick(conditions) } : {}),
    ...(uses(0.5) ? { continueOnError: true } : {}),
    ...(uses(0.3) ? { queueTimeout: 1_000 + random.below(20_000) } : {}),
  }
}

/** True, and asked of the data of the step before: a step that got other data would be skipped. */
const sound = (index: number) => `!has(steps.s${index}.data.of) || steps.s${index}.data.of == 's${index}'`

/** Longer than a record has room for. */
const largeLength = 70_000

export interface CourseOptions {
  readonly random: Random
  readonly failChance: number
  readonly largeChance: number
  /** How often an attempt puts something off to the end of its run. */
  readonly deferChance: number
}

/** Most attempts are quick and succeed; some are slow, fail, or hang until their timeout. Every other probe can tell. */
export function randomCourse(
  attempt: Attempt,
  { random, failChance, largeChance, deferChance }: CourseOptions,
): Course {
  const hangs = attempt.input["mayHang"] === true && random.chance(0.3)
  const durationMs = random.chance(0.1)
    ? 2_000 + random.below(random.pick([3_000, 30_000]))
    : random.below(400)
  const success = random.chance(attempt.probing === true ? 0.6 : 1 - failChance)
  const message = `${attempt.stepId}#${attempt.attempt} ${success ? "is done" : "is broken"}`
  return {
    durationMs: hangs ? 10 * timeoutMs : durationMs,
    defers: random.chance(deferChance) ? [{ tidies: attempt.stepId }] : [],
    result: {
      success,
      message,
      ...(success && random.chance(largeChance)
        ? { data: { of: attempt.stepId, attempt: attempt.attempt, text: "x".repeat(largeLength) } }
        : {}),
      ...(!success && random.chance(0.2) ? { retryable: false } : {}),
      ...(attempt.probing === true && random.chance(0.6) ? { probed: true } : {}),
    },
    endingMs: random.below(3_000),
  }
}
