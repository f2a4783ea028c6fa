import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { AttemptResult } from "../../src/model/driver.ts"
import type { PipelineSource } from "../../src/model/pipeline-source.ts"
import { pipelineOf } from "../rig/belt.ts"
import type { Shape } from "./shapes.ts"

/* One shape of run for each feature of the pipeline language. */

const cel = (expression: string) => `\${{ ${expression} }}`
const drivers = [{ name: "work" }]
const step = (id: string, more: Partial<PipelineSource["steps"][number]> = {}) => ({
  id,
  driver: "work",
  ...more,
})

const good = ({ stepId }: Attempt): AttemptResult => ({
  success: true,
  message: `${stepId} is done`,
  data: { stepId },
})
/** These steps fail, the others do not. */
const breaks =
  (...stepIds: readonly string[]) =>
  (attempt: Attempt): AttemptResult =>
    stepIds.includes(attempt.stepId)
      ? { success: false, message: `${attempt.stepId} is broken` }
      : good(attempt)

/** `make` gives what is too large for a record; the others succeed when they got it. */
const large = (attempt: Attempt): AttemptResult => {
  if (attempt.stepId === "make")
    return { ...good(attempt), data: { text: "é".repeat(50_000), attempt: attempt.attempt } }
  const data = attempt.results["make"]?.data as { readonly text?: string } | undefined
  return data?.text?.length === 50_000 ? good(attempt) : breaks(attempt.stepId)(attempt)
}

export const languageShapes: readonly Shape[] = [
  {
    name: "large data, which conditions and later steps read",
    pipeline: pipelineOf({
      steps: [
        step("make"),
        step("use", { if: "size(steps.make.data.text) == 50000" }),
        step("not", { needs: ["make"], if: "steps.make.data.text == ''" }),
        step("again", { needs: ["use"], with: { text: cel("results.make.data.text") } }),
      ],
    }),
    drivers,
    answer: large,
    ends: ["succeeded", "succeeded", "succeeded", "skipped", "succeeded"],
  },
  {
    name: "a step that is skipped by its condition, and one that is not",
    pipeline: pipelineOf({
      steps: [
        step("test"),
        step("deploy", { if: "steps.test.data.stepId == 'other'" }),
        step("after", { needs: ["test", "deploy"] }),
      ],
    }),
    drivers,
    answer: good,
    ends: ["succeeded", "succeeded", "skipped", "succeeded"],
  },
  {
    name: "a failure that ends another branch and is handled",
    pipeline: pipelineOf({
      steps: [
        step("left", { needs: [] }),
        step("right", { needs: [] }),
        step("rollback", { needs: ["left", "right"], if: "failure()" }),
        step("never", { needs: ["rollback"] }),
      ],
    }),
    drivers,
    answer: breaks("left"),
    slow: ["right"],
    ends: ["failed", "failed", "cancelled", "succeeded", "skipped"],
  },
  {
    name: "branches that go on beside a failure",
    pipeline: pipelineOf({
      failFast: false,
      steps: [
        step("left", { needs: [] }),
        step("right", { needs: [] }),
        step("more", { needs: ["right"] }),
        step("join", { needs: ["left", { step: "more", optional: true }] }),
      ],
    }),
    drivers,
    answer: breaks("left"),
    ends: ["failed", "failed", "succeeded", "succeeded", "skipped"],
  },
  {
    name: "a failure that may be",
    pipeline: pipelineOf({ steps: [step("lint", { continueOnError: true }), step("ship")] }),
    drivers,
    answer: breaks("lint"),
    ends: ["succeeded", "failed", "succeeded"],
  },
  {
    name: "cleanup after success",
    pipeline: pipelineOf({
      steps: [step("start", { ensure: step("stop") }), step("use")],
      finally: [step("report"), step("last")],
    }),
    drivers,
    answer: good,
    ends: ["succeeded", "succeeded", "succeeded", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "cleanup after a failure, which fails itself",
    pipeline: pipelineOf({
      steps: [step("start", { ensure: step("stop") }), step("use")],
      finally: [step("report"), step("last", { if: "failure()" }), step("never", { if: "success()" })],
    }),
    drivers,
    answer: breaks("start", "report"),
    ends: ["failed", "failed", "skipped", "succeeded", "failed", "succeeded", "skipped"],
  },
  {
    name: "cleanup after a cancel",
    pipeline: pipelineOf({
      steps: [step("clone"), step("left", { ensure: step("stop") }), step("after")],
      finally: [step("report")],
    }),
    drivers,
    answer: good,
    cancelledIn: "left",
    ends: ["cancelled", "succeeded", "cancelled", "skipped", "succeeded", "succeeded"],
  },
  {
    name: "a run whose time is over",
    pipeline: pipelineOf({ timeout: 2_000, steps: [step("clone"), step("hang")], finally: [step("report")] }),
    drivers,
    answer: good,
    slow: ["hang"],
    ends: ["failed", "succeeded", "cancelled", "succeeded"],
  },
  {
    name: "a step that nobody comes for",
    pipeline: pipelineOf({
      steps: [step("first"), step("second", { driver: "nobody", queueTimeout: 1_000 })],
      finally: [step("report")],
    }),
    drivers,
    answer: good,
    ends: ["failed", "succeeded", "failed", "succeeded"],
  },
  {
    name: "a failure that is not worth repeating",
    pipeline: pipelineOf({ steps: [step("once", { retry: { attempts: 9, backoff: 10, jitter: 0.5 } })] }),
    drivers,
    answer: ({ stepId }) => ({ success: false, message: `${stepId} is broken`, retryable: false }),
    ends: ["failed", "failed"],
  },
  {
    name: "a run with values of its own, and one step at a time",
    pipeline: pipelineOf({
      maxParallel: 1,
      metadata: { image: `shop:${cel("resource.name")}` },
      env: { IMAGE: cel("metadata.image") },
      steps: [step("a", { needs: [] }), step("b", { needs: [] }), step("c", { needs: [] })],
    }),
    drivers,
    answer: good,
    ends: ["succeeded", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "work that is put off to the end",
    pipeline: pipelineOf({ steps: [step("make"), step("use")], finally: [step("report")] }),
    drivers,
    defers: { make: [{ drop: "one" }, { drop: "two" }] },
    answer: breaks("use"),
    ends: ["failed", "succeeded", "failed", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a run that waits for another one with its key",
    pipeline: pipelineOf({ concurrency: { key: "production" }, steps: [step("a"), step("b")] }),
    rival: true,
    drivers,
    answer: good,
    ends: ["succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a run that replaces another one with its key",
    pipeline: pipelineOf({
      concurrency: { key: "production", policy: "replace" },
      steps: [step("a"), step("b")],
      finally: [step("report")],
    }),
    rival: true,
    drivers,
    answer: good,
    ends: ["succeeded", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a run that is held until its pipeline is mended",
    pipeline: pipelineOf({
      hold: 600_000,
      steps: [step("clone"), step("build", { ensure: step("tidy") }), step("ship")],
      finally: [step("report")],
    }),
    mendedTo: pipelineOf({
      hold: 600_000,
      steps: [step("clone"), step("build", { with: { mended: true }, ensure: step("tidy") }), step("ship")],
      finally: [step("report")],
    }),
    drivers,
    answer: (attempt) =>
      attempt.stepId === "build" && attempt.input["mended"] !== true
        ? breaks("build")(attempt)
        : good(attempt),
    ends: ["succeeded", "succeeded", "succeeded", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a run that is held until a driver is mended",
    pipeline: pipelineOf({
      hold: 600_000,
      steps: [step("clone"), step("build"), step("ship")],
      finally: [step("report")],
    }),
    mendedDriver: { name: "work", hash: "mended" },
    drivers,
    answer: (attempt) =>
      attempt.stepId === "build" && attempt.driver.hash !== "mended"
        ? breaks("build")(attempt)
        : good(attempt),
    ends: ["succeeded", "succeeded", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a run of which nothing is to be cleaned up",
    pipeline: pipelineOf({
      steps: [step("clone", { ensure: step("tidy") }), step("left"), step("after")],
      finally: [step("report")],
    }),
    drivers,
    answer: good,
    cancelledIn: "left",
    cancelledWith: { kill: true, cleanup: false },
    ends: ["cancelled", "succeeded", "cancelled", "skipped", "succeeded", "skipped"],
  },
]
