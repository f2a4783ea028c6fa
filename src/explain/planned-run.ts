import type { ResourceEvent } from "../model/event.ts"
import type { Json, JsonObject } from "../model/json.ts"
import type { Labels } from "../model/labels.ts"
import type { ConcurrencyPolicy, Pipeline, StepRole } from "../model/pipeline.ts"
import type { Resource } from "../model/resource.ts"
import type { Verdict } from "../model/run.ts"
import type { SkipReason } from "../model/standing.ts"
import type { ConditionOutlook } from "./condition-outlook.ts"

/** What a run of a pipeline would do, as far as that can be told before it starts. */
export interface DryRun {
  readonly pipeline: string
  readonly event: ResourceEvent
  readonly resource: { readonly type: string; readonly name?: string }
  /** With those of its expressions evaluated that are known. */
  readonly metadata: JsonObject
  readonly env?: JsonObject
  /** Milliseconds, or the text where that is not known yet. */
  readonly timeout?: Json
  readonly host?: Labels
  readonly maxParallel?: number
  readonly failFast: boolean
  readonly holdMs?: number
  readonly concurrency?: {
    readonly key: Json
    readonly limit: number
    readonly policy: ConcurrencyPolicy
  }
  /** One after the other; the steps of one go side by side. */
  readonly waves: readonly Wave[]
  /** In the pipeline's order. */
  readonly skipped: readonly SkippedStep[]
  readonly verdict: Verdict
}

export interface Wave {
  /** `cleanup`: it comes when all of the way has ended, however it did. */
  readonly part: "way" | "cleanup"
  readonly steps: readonly PlannedStep[]
  /** When one of these fails, the others of the wave are cancelled if they still run. */
  readonly endedBy?: readonly string[]
}

export interface PlannedStep {
  readonly id: string
  readonly name?: string
  readonly role?: StepRole["type"]
  readonly driver: string
  /** Those of its needs that run, too. */
  readonly after: readonly string[]
  readonly outcome: "succeeds" | "fails"
  /** Why it is certain to fail. */
  readonly failure?: string
  readonly condition?: ConditionOutlook
  /** What becomes of others when its condition, which is not decided yet, turns out to be false. */
  readonly otherwise?: Otherwise
  readonly with?: Json
  readonly env?: Json
  /** Milliseconds, or the text where that is not known yet; absent for the default. */
  readonly timeout?: Json
  readonly attempts?: number
}

export interface Otherwise {
  /** They are skipped then, too. */
  readonly skipped: readonly string[]
  /** They run then, and only then. */
  readonly runs: readonly string[]
}

export interface SkippedStep {
  readonly id: string
  readonly name?: string
  readonly role?: StepRole["type"]
  readonly driver: string
  readonly message: string
  readonly because: SkipReason | { readonly type: "condition" }
  readonly condition?: ConditionOutlook
}

export interface DryRunSources {
  readonly pipeline: Pipeline
  readonly resource: Resource
  readonly event: ResourceEvent
  /** The host's variables that expressions may read. */
  readonly env: { readonly [name: string]: string }
  /** The steps that are taken to fail; all others are taken to succeed. */
  readonly fails: ReadonlySet<string>
  /** Why some are certain to fail when they are attempted, by their ids. */
  readonly failures?: ReadonlyMap<string, string>
  /** Fields of the resource that only a real one has. */
  readonly madeUp: ReadonlySet<string>
}
