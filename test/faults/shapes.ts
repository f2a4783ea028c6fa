import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { AttemptResult } from "../../src/model/driver.ts"
import type { JsonObject } from "../../src/model/json.ts"
import type { Pipeline } from "../../src/model/pipeline.ts"
import type { Run, RunStatus, StepStatus } from "../../src/model/run.ts"
import { pipelineOf } from "../rig/belt.ts"

/** A shape of run, and how it ends when nothing goes wrong but what its drivers do. */
export interface Shape {
  readonly name: string
  /** Without one, every driver that listens for the kind reconciles the resource. */
  readonly pipeline?: Pipeline
  readonly drivers: readonly { readonly name: string; readonly resources?: readonly string[] }[]
  /** What its drivers answer. It may depend on the attempt and on nothing that a crash could change. */
  readonly answer: (attempt: Attempt) => AttemptResult
  /** Steps that take until they are ended. */
  readonly slow?: readonly string[]
  /** What a step puts off to the end of the run before it does anything else: the inputs. */
  readonly defers?: { readonly [stepId: string]: readonly JsonObject[] }
  /** Another run of the pipeline comes first. */
  readonly rival?: true
  /** What the pipeline becomes once a run of it is held. */
  readonly mendedTo?: Pipeline
  /** The driver that is mended once a run is held: its content has this hash then. */
  readonly mendedDriver?: { readonly name: string; readonly hash: string }
  /** The driver that is not there at first. */
  readonly lateDriver?: string
  /** The step during which somebody asks for the run to be cancelled. It takes until then. */
  readonly cancelledIn?: string
  /** What more they ask for. */
  readonly cancelledWith?: Run["cancel"]
  /** How the run ends, and its steps in order. */
  readonly ends: readonly [run: RunStatus, ...steps: StepStatus[]]
}

/** Every result says whose it is, so that one that lands elsewhere is seen. */
const good = ({ stepId, attempt }: Attempt): AttemptResult => ({
  success: true,
  message: `${stepId} is done`,
  data: { stepId, attempt },
})
const bad = ({ stepId }: Attempt): AttemptResult => ({ success: false, message: `${stepId} is broken` })

const work = [{ name: "work" }]

const sequence = pipelineOf({
  steps: [
    { id: "clone", driver: "work" },
    { id: "build", driver: "work" },
    { id: "ship", driver: "work" },
  ],
})

/** One of each: what a run can be. */
export const shapes: readonly Shape[] = [
  {
    name: "a sequence",
    pipeline: sequence,
    drivers: work,
    answer: good,
    ends: ["succeeded", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a graph with a join",
    pipeline: pipelineOf({
      steps: [
        { id: "clone", driver: "work" },
        { id: "left", driver: "work", needs: ["clone"] },
        { id: "right", driver: "work", needs: ["clone"] },
        { id: "join", driver: "work", needs: ["left", "right"] },
      ],
    }),
    drivers: work,
    answer: good,
    ends: ["succeeded", "succeeded", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a step that is tried again",
    pipeline: pipelineOf({
      steps: [
        { id: "flaky", driver: "work", retry: { attempts: 20, backoff: 10 } },
        { id: "after", driver: "work" },
      ],
    }),
    drivers: work,
    answer: (attempt) => (attempt.stepId === "flaky" && attempt.attempt < 3 ? bad(attempt) : good(attempt)),
    ends: ["succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a step that fails",
    pipeline: sequence,
    drivers: work,
    answer: (attempt) => (attempt.stepId === "build" ? bad(attempt) : good(attempt)),
    ends: ["failed", "succeeded", "failed", "skipped"],
  },
  {
    name: "a run that is cancelled",
    pipeline: pipelineOf({
      steps: [
        { id: "clone", driver: "work" },
        { id: "left", driver: "work", needs: ["clone"] },
        { id: "right", driver: "work", needs: ["clone"] },
        { id: "join", driver: "work", needs: ["left", "right"] },
      ],
    }),
    drivers: work,
    answer: good,
    cancelledIn: "left",
    ends: ["cancelled", "succeeded", "cancelled", "cancelled", "skipped"],
  },
  {
    name: "a resource without a pipeline",
    drivers: ["audit", "deploy", "notify"].map((name) => ({ name, resources: ["app"] })),
    answer: good,
    ends: ["succeeded", "succeeded", "succeeded", "succeeded"],
  },
  {
    name: "a step whose driver comes late",
    pipeline: pipelineOf({
      steps: [
        { id: "first", driver: "work" },
        { id: "second", driver: "late" },
      ],
    }),
    drivers: [...work, { name: "late" }],
    lateDriver: "late",
    answer: good,
    ends: ["succeeded", "succeeded", "succeeded"],
  },
]
