import type { Logger } from "pino"
import type { DriverHost } from "../drivers/driver-host.ts"
import type { HostLease } from "../hosts/host-lease.ts"
import type { Labels } from "../model/labels.ts"
import type { UnwrittenLogLine } from "../model/log.ts"
import type { ResultStore } from "../results/result-store.ts"
import type { Store } from "../store/store.ts"
import type { Workspaces } from "./workspaces.ts"

export interface EngineOptions {
  readonly store: Store
  readonly drivers: DriverHost
  /** Where large data of results lies. */
  readonly results: ResultStore
  readonly appendLog: (runId: string, lines: readonly UnwrittenLogLine[]) => Promise<void>
  /** This host's lease. It is held before the engine starts, and given back after the engine has stopped. */
  readonly lease: HostLease
  /** The id of its data folder, where {@link appendLog} writes. */
  readonly folder: string
  /** This host's labels. */
  readonly labels: Labels
  /** How long an attempt that is aborted may take to end by itself. */
  readonly graceMs: number
  readonly attemptsMax: number
  /** The host's variables that expressions may read. */
  readonly env: { readonly [name: string]: string }
  readonly workspaces: Pick<Workspaces, "pathOf" | "prepare">
  readonly log: Logger
}
