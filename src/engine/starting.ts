import { messageOf } from "../errors.ts"
import { evaluateCondition } from "../model/expression.ts"
import { valuesOf } from "../model/expression-values.ts"
import type { PipelineStep } from "../model/pipeline.ts"
import { isNew, pinnedCode } from "../model/run.ts"
import { type RunContent, stepScope } from "../model/run-scope.ts"
import type { Standings, Upstream } from "../model/standing.ts"
import { dataIn } from "./data-state.ts"
import type { Draft } from "./draft.ts"
import { waitFor } from "./queueing.ts"
import { hasAttemptData, hasConditionData } from "./step-data.ts"
import {
  failedToStart,
  resolved,
  skipped,
  stamp,
  started,
  timerMs,
  unresolved,
  unresolvedBefore,
  type Waiting,
} from "./step-states.ts"
import { isLeft, logPlace } from "./whereabouts.ts"

/** A step whose needs have ended, and what is known around it. */
export interface DueStep {
  readonly step: PipelineStep
  readonly upstream: Upstream
  readonly standings: Standings
  /** May one more step of this run start? */
  readonly hasRoom: boolean
}

/** A step that can start: its `if` decides, then it starts, or waits for what it lacks. */
export function startDue(draft: Draft, { step, upstream, standings, hasRoom }: DueStep): void {
  const { host } = draft.observed
  const state = draft.states.get(step.id)
  if (draft.settles(step.id)) {
    // Its last attempt ends in this very plan: one commit writes a key once, so the next attempt takes the next.
    draft.wakeAt(draft.now.monotonicMs)
    return
  }
  // It was taken over while this host's own attempt has not ended: that one's end is heard of, and then it is looked at.
  if (draft.observed.local.has(step.id)) return
  if (state?.status === "waiting" && !mayStart(draft, step.id, state)) return
  if (!host.fits && host.othersFit) return
  if (isNew(state) && !passes(draft, { step, upstream, standings })) return
  const asked = step.effects === "once" ? unresolvedBefore(state, draft.now) : undefined
  if (asked !== undefined) draft.wait(step.id, asked)
  else if (hasRoom) start(draft, step)
}

/** May a waiting step start now? If not, what it needs instead is planned. */
function mayStart(draft: Draft, stepId: string, state: Waiting): boolean {
  if (state.waitingFor.type === "timer") return draft.isOver(state.since, timerMs(state))
  if (state.waitingFor.type !== "resolution") return true
  const ended = resolved(state, draft.now)
  if (ended !== undefined) draft.settle(stepId, ended)
  return state.resolution?.outcome === "retry"
}

/** Does its `if` let it start? If not, that is planned. */
function passes(draft: Draft, { step, upstream, standings }: Omit<DueStep, "hasRoom">): boolean {
  if (step.if === undefined) return true
  if (!hasConditionData(draft, step)) return false
  const scope = stepScope(contentOf(draft), step, { standings, status: upstream })
  try {
    if (evaluateCondition(step.if, scope)) return true
  } catch (error) {
    draft.settle(step.id, failedToStart(draft.states.get(step.id), messageOf(error), draft.now))
    return false
  }
  const condition = { expression: step.if, values: valuesOf(step.if, scope) }
  draft.skip(step.id, skipped(draft.states.get(step.id), condition, draft.now))
  return false
}

/** The run as its expressions see it. */
export function contentOf({ observed, run, states }: Draft, steps = observed.steps): RunContent {
  const { pipeline, resource, env } = observed
  if (resource === undefined) throw new Error("a run whose resource is missing must have failed")
  return { run, pipeline, steps, states, resource, env, dataAt: (ref) => dataIn(observed.dataOf(ref)) }
}

/**
 * An attempt was cut off: it is done again, or, where that must not be, its driver's probe is asked how it ended. Where
 * no host can run that code any more, somebody has to say it.
 */
export function takeUp(draft: Draft, step: PipelineStep): void {
  const state = draft.states.get(step.id)
  if (step.effects !== "once" || state?.status !== "running" || canProbe(draft, step)) start(draft, step)
  else draft.wait(step.id, unresolved(state, draft.now))
}

/** Can the code that was cut off be run on a live host? */
function canProbe({ observed: { host }, run }: Draft, step: PipelineStep): boolean {
  const hash = pinnedCode(run, step)
  return hash !== undefined && (host.fits ? host.locate(hash) !== "nowhere" : host.othersFit)
}

function start(draft: Draft, step: PipelineStep): void {
  const { observed, now } = draft
  const { host, pipeline } = observed
  if (!host.fits) {
    if (!host.othersFit) waitFor(draft, step, { type: "host", labels: pipeline?.host ?? {} })
    return
  }
  const driverHash = codeFor(draft, step)
  if (driverHash === undefined) return
  const before = draft.states.get(step.id)
  if (before?.status !== "running" && isLeft(draft, step, pinnedCode(draft.run, step))) return
  if (draft.startCount >= host.slots) {
    draft.starved = true
    return
  }
  if (!hasAttemptData(draft, step, driverHash)) return
  begin(draft)
  pin(draft, { [step.driver]: driverHash })
  // Every start writes the header then, so that two hosts cannot both take the last place.
  if (pipeline?.maxParallel !== undefined) draft.run = { ...draft.run, starts: (draft.run.starts ?? 0) + 1 }
  const once = step.effects === "once"
  const place = logPlace(draft)
  draft.start(step.id, started(before, { driverHash, hostId: host.hostId, once, place, now }))
}

/** The content of the driver to run the step with, once this host can run it; what else is to be done is planned. */
function codeFor(draft: Draft, step: PipelineStep): string | undefined {
  const { host } = draft.observed
  const { driver } = step
  const pinned = pinnedCode(draft.run, step)
  if (pinned === undefined) {
    const hash = host.hashOf(driver)
    if (hash === undefined && !host.elsewhere(driver)) waitFor(draft, step, { type: "driver", driver })
    return hash
  }
  const place = host.locate(pinned)
  switch (place) {
    case "here":
      return pinned
    case "store":
      draft.effect({ type: "fetch", hash: pinned })
      return undefined
    case "elsewhere":
      return undefined
    case "nowhere":
      waitFor(draft, step, { type: "driver", driver, hash: pinned })
      return undefined
    default:
      place satisfies never
      return undefined
  }
}

/** The run starts, if it has not: it is pinned to all the drivers of its steps that this host has. */
export function begin(draft: Draft, steps = draft.observed.steps): void {
  const { run } = draft
  if (run.status !== "pending") return
  draft.run = { ...run, status: "running", startedAt: stamp(draft.now) }
  pin(draft, servedHere(draft, run.steps ?? steps))
}

/** The contents under which the drivers of these steps serve on this host, as far as it has them. */
export function servedHere({ observed }: Draft, steps: readonly PipelineStep[]): Record<string, string> {
  const served: Record<string, string> = {}
  for (const { driver } of steps) {
    const hash = observed.host.hashOf(driver)
    if (hash !== undefined) served[driver] = hash
  }
  return served
}

/** What is pinned already stays. */
function pin(draft: Draft, pins: Readonly<Record<string, string>>): void {
  const known = draft.run.drivers
  if (known !== undefined && Object.keys(pins).every((driver) => Object.hasOwn(known, driver))) return
  draft.run = { ...draft.run, drivers: { ...pins, ...known } }
}
