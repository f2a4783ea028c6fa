import type { ConcurrencyRecord } from "../model/concurrency.ts"
import type { HostRecord } from "../model/host.ts"
import type { Resource } from "../model/resource.ts"
import type { Claim } from "../model/run.ts"
import type { RunContent } from "../model/run-scope.ts"
import type { RunningProcess } from "../model/running-process.ts"
import type { Standings } from "../model/standing.ts"

/** All that an explanation is made from: the records of a run, and those around it. */
export interface ExplainSources extends Omit<RunContent, "resource"> {
  /** The version of the resource it is for; absent where the store does not hold it. */
  readonly resource: Resource | undefined
  readonly claims: Pick<ReadonlyMap<string, Claim>, "get">
  /** Those that live now. */
  readonly hosts: readonly HostRecord[]
  /** Who holds and awaits the run's concurrency key. */
  readonly concurrencyKey: ConcurrencyRecord | undefined
  /** What runs now of the attempts of steps, by their ids, where the host that was asked can tell. */
  readonly processes: Pick<ReadonlyMap<string, readonly RunningProcess[]>, "get">
  /** The contents of drivers that are in the store. */
  readonly kept: Pick<ReadonlySet<string>, "has">
  /** The last thing that the newest attempt of a step logged, by its id, as far as it can be read. */
  readonly lastLines: Pick<ReadonlyMap<string, string>, "get">
  /** How long a claim lives on when its host has died. */
  readonly leaseTtlMs: number
  readonly nowMs: number
}

/** What reasons are found from: the sources, and where that puts the steps. */
export interface Explaining {
  readonly sources: ExplainSources
  readonly standings: Standings
}
