import type { Holder } from "../model/concurrency.ts"
import type { StepRole } from "../model/pipeline.ts"
import type { RunStatus, StepStatus } from "../model/run.ts"
import type { RunningProcess } from "../model/running-process.ts"
import type { SkipReason } from "../model/standing.ts"
import type { ConditionOutlook } from "./condition-outlook.ts"
import type { Placement } from "./placement.ts"

/** Why a run and each of its steps are where they are. */
export interface RunExplanation {
  readonly runId: string
  readonly status: RunStatus
  /** What it waits for now, or how it ended, in one sentence. */
  readonly message: string
  /** What has to come for it to end; absent when it has. */
  readonly ends?: string
  /** When its time is over, if it has not ended by then. */
  readonly timeoutAt?: string
  /** In the pipeline's order. */
  readonly steps: readonly StepExplanation[]
}

export interface StepExplanation {
  readonly id: string
  readonly name?: string
  readonly role?: StepRole["type"]
  readonly driver: string
  readonly status: StepStatus
  /** The newest attempt; 0 before the first. */
  readonly attempt: number
  /** {@link reason} in one sentence. Never empty. */
  readonly message: string
  readonly reason: Reason
  /** Its `if`: as it was evaluated, or as far as it can be told now. */
  readonly condition?: ConditionOutlook
}

/** A step that another one waits for, and where it stands. */
export interface Blocker {
  readonly stepId: string
  readonly status: StepStatus
}

/** Why a step is where it is. */
export type Reason =
  | {
      readonly type: "ended"
      readonly status: "succeeded" | "failed" | "cancelled"
      readonly attempt: number
      readonly hostId?: string
      readonly durationMs?: number
      readonly result: string
      /** The run whose result this is. */
      readonly keptFrom?: string
    }
  /** `condition`: its `if` was false. */
  | { readonly type: "skipped"; readonly because: SkipReason | { readonly type: "condition" } }
  /**
   * These have not ended. `brokenBy`: it will be skipped then, for this one did not succeed. `place`: its driver is
   * nowhere, so that it will wait for that, too.
   */
  | {
      readonly type: "blocked"
      readonly by: readonly Blocker[]
      readonly brokenBy?: string
      readonly place?: Placement & { readonly type: "driver" | "content" }
    }
  /** It cleans up, once the steps of the way have ended. */
  | { readonly type: "lastOfAll"; readonly by: readonly Blocker[] }
  /** Nothing starts, for the run is held and can be mended. */
  | { readonly type: "held"; readonly since: string; readonly until?: string }
  /** `maxParallel` of its run are running. */
  | { readonly type: "maxParallel"; readonly maxParallel: number; readonly running: readonly string[] }
  /** `limit` others hold its run's concurrency key, or come first. `replaces`: they are cancelled to make room for it. */
  | {
      readonly type: "concurrency"
      readonly key: string
      readonly limit: number
      readonly holders: readonly Holder[]
      /** Runs whose turn comes before its own. */
      readonly ahead: readonly string[]
      readonly replaces?: true
      readonly since: string
    }
  /** `since`: when a host first found that there is no place for it. `until`: its `queueTimeout` is over then. */
  | {
      readonly type: "place"
      readonly place: Exclude<Placement, { type: "free" }>
      readonly since?: string
      readonly until?: string
    }
  /** Nothing is in its way. `workspace`: where the steps before it left it. */
  | {
      readonly type: "starting"
      readonly hosts: readonly string[]
      readonly workspace?: { readonly hostId: string; readonly state: "free" | "unable" | "gone" }
    }
  /** Its `if` will not let it start: that is about to be written down. */
  | { readonly type: "conditionDue"; readonly outcome: "false" | "error" }
  | {
      readonly type: "timer"
      readonly until: string
      /** The one that failed. */
      readonly attempt: number
      readonly attemptsMax?: number
      /** The last thing the failed attempt logged on the host that was asked. */
      readonly lastLine?: string
    }
  /** A host that has large data of an earlier step does not answer. `until`: its `queueTimeout` is over then. */
  | {
      readonly type: "data"
      /** Of which step. */
      readonly of: string
      readonly bytes: number
      readonly hostId: string
      readonly since: string
      readonly until?: string
    }
  /** `resolved`: somebody has said it, and a host is about to take note. */
  | {
      readonly type: "resolution"
      readonly attempt: number
      readonly hostId: string
      readonly since: string
      readonly resolved: boolean
    }
  | {
      readonly type: "running"
      readonly hostId: string
      readonly startedAt: string
      readonly attempt: number
      readonly timeoutAt: string
      /** The cut-off attempt whose end it finds out. */
      readonly probing?: number
      /** It has to end, for the run goes on without it. */
      readonly calledOff: boolean
      readonly kill: boolean
      /** Absent where the host that was asked cannot tell. */
      readonly processes?: readonly RunningProcess[]
    }
  /** It runs by its record, and its host is gone. */
  | {
      readonly type: "orphaned"
      readonly hostId: string
      readonly startedAt: string
      readonly attempt: number
      /** Its host's claim still stands, for this long after the host was last heard of. */
      readonly claimTtlMs?: number
      readonly next: "again" | "resolution" | "ends"
      /** What keeps every host from taking it up. */
      readonly place?: Exclude<Placement, { type: "free" }>
    }
  /** It would be attempted again, and is not: the run goes on without it. */
  | { readonly type: "calledOff" }
