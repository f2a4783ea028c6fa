import type { DriverHost } from "../drivers/driver-host.ts"
import type { DataRef } from "../model/driver.ts"
import { present } from "../model/present.ts"
import type { Run } from "../model/run.ts"
import type { RunContent } from "../model/run-scope.ts"
import { stepsOfRun } from "../model/run-steps.ts"
import type { AttemptOrder } from "./attempts.ts"
import type { ConcurrencyKeys } from "./concurrency-keys.ts"
import type { CurrentPipelines } from "./current-pipelines.ts"
import type { LocalAttempt, Now, Observed } from "./decision.ts"
import { type HostViewSources, viewHost } from "./hosts.ts"
import type { ObservedRun } from "./observe.ts"

/** What a decision about a run depends on beside the run's own records. */
export interface Surroundings {
  readonly missing: string | undefined
  readonly env: { readonly [name: string]: string }
  readonly now: Now
  readonly caughtUp: boolean
  readonly isNewer: Observed["isNewer"]
  readonly local: ReadonlyMap<string, LocalAttempt>
  readonly pipelines: CurrentPipelines
  readonly keys: ConcurrencyKeys
  readonly host: Omit<HostViewSources, "wanted">
}

/** Puts together what the plan is made of. */
export function observedOf(run: ObservedRun, header: Run, around: Surroundings): Observed {
  const pipeline = run.pipeline?.content
  return present({
    run: header,
    pipeline,
    steps: stepsOfRun(header, pipeline),
    resource: run.resource,
    env: around.env,
    current: "held" in header ? around.pipelines.get(header.pipeline?.name ?? "") : undefined,
    missing: around.missing,
    dataOf: (ref: DataRef) => run.data?.stateOf(ref),
    states: run.states,
    claims: run.claims,
    caughtUp: around.caughtUp,
    local: around.local,
    left: run.left,
    host: viewHost({ ...around.host, wanted: pipeline?.host ?? {} }),
    dueMs: (since: string, durationMs: number) => run.dueMs(since, durationMs, around.now),
    concurrencyOf: (key: string) => around.keys.get(key),
    isNewer: around.isNewer,
  })
}

/** An attempt of a step that this host has claimed. */
export function orderOf(
  run: ObservedRun,
  stepId: string,
  { env, drivers }: { readonly env: RunContent["env"]; readonly drivers: Pick<DriverHost, "schemasOf"> },
): AttemptOrder {
  const { header, resource, states, data } = run
  const pipeline = run.pipeline?.content
  const steps = header === undefined ? [] : stepsOfRun(header, pipeline)
  const step = steps.find((candidate) => candidate.id === stepId)
  const state = states.get(stepId)
  if (!header || step === undefined || state?.status !== "running" || resource === undefined) {
    throw new Error(`a claimed step has a running state, a step and a resource: ${run.runId}/${stepId}`)
  }
  const dataAt = data?.dataAt ?? (() => undefined)
  return {
    content: { run: header, pipeline, steps, states, resource, env, dataAt },
    step,
    state,
    readsResults: drivers.schemasOf(state.driverHash).readsResults !== false,
  }
}
