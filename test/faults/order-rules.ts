import { usesStatus } from "../../src/model/expression-reads.ts"
import type { PipelineStep } from "../../src/model/pipeline.ts"
import type { Run, StepState } from "../../src/model/run.ts"

/*
 * When a step may start, said a second time and without the engine's help, so that the two can disagree:
 *
 *   - a step of the way starts in a run that is neither stopping nor held, when all it needs have come to an end, with
 *     their ensure steps; and unless its `if` asks how things went, only where nothing it hangs on has failed or was
 *     cancelled, and not all it needs were skipped. (A host that has not heard yet of a failure elsewhere may start one:
 *     it is cancelled as soon as it has.)
 *   - an ensure step starts when its own step was attempted in this run, and has ended
 *   - a step of `finally`, and a deferred one, starts in a stopping run, when nothing of the way and nothing it waits for
 *     is left to do
 *   - no more steps run at a time than the pipeline says
 *   - all that cleans up has ended when the run does
 */

/** A run at the moment one of its steps starts. */
export interface Scene {
  readonly header: Run
  readonly steps: readonly PipelineStep[]
  readonly states: ReadonlyMap<string, StepState>
  readonly failFast: boolean
  readonly maxParallel: number
}

/** What is wrong with a start of this step now, as the end of a sentence; undefined when nothing is. */
export function faultOfOrder(scene: Scene, step: PipelineStep): string | undefined {
  const { header, states, maxParallel } = scene
  const isHeld = header.status === "running" && header.held !== undefined
  if (isHeld && !isStopping(header)) return "started in a run that is held"
  const others = [...states].filter(([stepId, { status }]) => status === "running" && stepId !== step.id)
  if (others.length >= maxParallel) return `started beside ${others.length} others, of ${maxParallel} at most`
  switch (step.role?.type) {
    case undefined:
      return faultOnTheWay(scene, step)
    case "ensure":
      return faultOfEnsure(scene, step.role.of)
    case "finally":
    case "deferred":
      return faultOfLast(scene, step)
    default:
      return step.role satisfies never
  }
}

/** What a run that has ended should have done last and has not, as the end of a sentence; undefined when nothing is left. */
export function faultOfCleanup(scene: Scene): string | undefined {
  const { header, steps, states } = scene
  if (header.cancel?.cleanup === false || !("startedAt" in header)) return undefined
  const left = steps.find(({ id, role }) =>
    role?.type === "ensure" ? isToDo(scene, id, role.of) : role !== undefined && !isOver(states.get(id)),
  )
  return left === undefined ? undefined : `has ended, and ${left.id} was left out`
}

/** Is it decided how the run ends? */
export function isStopping(run: Run): boolean {
  return run.cancelRequestedAt !== undefined || (run.status === "running" && run.stopping !== undefined)
}

/** The failure that ends the other branches of the run, where there is one. */
export function failureOf({ steps, states, failFast }: Omit<Scene, "header" | "maxParallel">) {
  return failFast
    ? steps.find((step) => step.role === undefined && hasFailed(step, states.get(step.id)))?.id
    : undefined
}

export function hasFailed(step: PipelineStep, state: StepState | undefined): boolean {
  return state?.status === "failed" && step.continueOnError !== true
}

/** Does its `if` ask how things went, so that it may start after a failure? */
export function handles(step: PipelineStep): boolean {
  return step.if !== undefined && usesStatus(step.if)
}

function faultOnTheWay(scene: Scene, step: PipelineStep): string | undefined {
  if (isStopping(scene.header)) return "started in a stopping run"
  const fates = new Fates(scene)
  for (const need of step.needs) {
    if (fates.of(need) === undefined) return `started before ${need} had ended`
    const cleanup = scene.steps.find(({ id, role }) => isEnsureOf(role, need) && isToDo(scene, id, need))
    if (cleanup !== undefined) return `started before ${cleanup.id} had ended`
  }
  if (handles(step)) return undefined
  // A mended pipeline may put what is to be done again before what has been done: that stands, and is good enough.
  const broken = fates.breakBefore(step, { far: scene.header.mended === undefined })
  if (broken !== undefined) return `started though it hangs on ${broken}`
  const inVain = step.needs.length > 0 && step.needs.every((need) => fates.of(need) === "skipped")
  return step.if === undefined && inVain ? "started though all it needs were skipped" : undefined
}

function faultOfEnsure({ header, states }: Scene, of: string): string | undefined {
  if (header.cancel?.cleanup === false) return "cleans up where nobody wants it"
  const state = states.get(of)
  return isOver(state) && wasAttempted(state)
    ? undefined
    : `started while ${of} was ${state?.status ?? "not there"}`
}

function faultOfLast(scene: Scene, step: PipelineStep): string | undefined {
  const { header, steps, states } = scene
  if (header.cancel?.cleanup === false) return "cleans up where nobody wants it"
  if (!isStopping(header)) return "started before the way had ended"
  for (const { id, role } of steps) {
    const state = states.get(id)
    if (role === undefined && state !== undefined && isUnderWay(state))
      return `started while ${id} was under way`
    if (role?.type === "ensure" && isToDo(scene, id, role.of)) return `started before ${id} had ended`
  }
  // Work that was deferred since its first attempt stands before it from then on.
  if ((states.get(step.id)?.attempt ?? 0) > 0) return undefined
  const early = step.needs.find((need) => !isOver(states.get(need)))
  return early === undefined ? undefined : `started before ${early} had ended`
}

/** What has become of steps of the way. */
class Fates {
  readonly #scene: Scene
  readonly #known = new Map<string, "ended" | "skipped" | undefined>()

  constructor(scene: Scene) {
    this.#scene = scene
  }

  /** Undefined while the step may still run. One that cannot start any more has no record of that. */
  of(stepId: string): "ended" | "skipped" | undefined {
    if (!this.#known.has(stepId)) this.#known.set(stepId, this.#find(stepId))
    return this.#known.get(stepId)
  }

  #find(stepId: string): "ended" | "skipped" | undefined {
    const { steps, states } = this.#scene
    const state = states.get(stepId)
    if (state?.status === "skipped") return "skipped"
    if (isOver(state)) return "ended"
    const step = steps.find(({ id }) => id === stepId)
    if (step === undefined || (state !== undefined && isUnderWay(state)) || handles(step)) return undefined
    if (failureOf(this.#scene) !== undefined) return "skipped"
    const needs = step.needs.map((need) => this.of(need))
    if (needs.includes(undefined)) return undefined
    if (this.breakBefore(step) !== undefined) return "skipped"
    const inVain = needs.length > 0 && needs.every((fate) => fate === "skipped")
    return step.if === undefined && inVain ? "skipped" : undefined
  }

  /** What keeps the step from starting, near or also far. */
  breakBefore(step: PipelineStep, { far } = { far: true }): string | undefined {
    const { steps, states } = this.#scene
    for (const need of step.needs) {
      const before = steps.find(({ id }) => id === need)
      if (before === undefined || step.optional?.includes(need)) continue
      const state = states.get(need)
      if (hasFailed(before, state) || state?.status === "cancelled") return need
      const further = far ? this.breakBefore(before) : undefined
      if (further !== undefined) return further
    }
    return undefined
  }
}

const isEnsureOf = (role: PipelineStep["role"], stepId: string) =>
  role?.type === "ensure" && role.of === stepId

/** Has this ensure step of that step still to run? */
function isToDo({ states }: Scene, ensureId: string, of: string): boolean {
  const own = states.get(of)
  return wasAttempted(own) && !isOver(states.get(ensureId))
}

/** In this run, and not in the one that it does again; and since it was mended, where it was. */
function wasAttempted(state: StepState | undefined): boolean {
  if (state === undefined || state.attempt === 0 || "keptFrom" in state) return false
  return state.status !== "pending" && state.status !== "skipped"
}

/** Was it attempted, and is it to be attempted again, or may that be? */
function isUnderWay(state: StepState): boolean {
  return state.status === "running" || (state.status === "waiting" && state.attempt > 0)
}

function isOver(state: StepState | undefined): boolean {
  switch (state?.status) {
    case undefined:
    case "pending":
    case "waiting":
    case "running":
      return false
    default:
      return true
  }
}
