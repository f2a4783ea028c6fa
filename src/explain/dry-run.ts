import { present } from "../model/present.ts"
import { contentBefore } from "./dry-run-knowledge.ts"
import { ownValues } from "./dry-run-values.ts"
import { type Walk, walk } from "./dry-run-walk.ts"
import type { DryRun, DryRunSources, Otherwise } from "./planned-run.ts"

/** Above this many steps to walk past, what follows from each false condition is not worked out. */
const alternativeStepsMax = 20_000

/**
 * Walks a pipeline as a run would, without running anything, by the very rules that the engine plans by. What is not known
 * before the run is left open: a step whose condition is open is taken to run. Pure.
 */
export function dryRun(sources: DryRunSources): DryRun {
  const { pipeline, resource, event, madeUp } = sources
  const about = {
    pipeline: pipeline.name,
    event,
    resource: present({ type: resource.resource, name: madeUp.has("name") ? undefined : resource.name }),
    failFast: pipeline.failFast !== false,
    ...present({ host: pipeline.host, maxParallel: pipeline.maxParallel, holdMs: pipeline.holdMs }),
  }
  const content = contentBefore(sources)
  const own = ownValues(sources, content)
  if ("failure" in own) {
    const verdict = { status: "failed", message: own.failure } as const
    return { ...about, metadata: pipeline.metadata, waves: [], skipped: [], verdict }
  }
  const started = { ...content, run: { ...content.run, values: own.values } }
  const walked = walk(sources, started)
  const open = walked.waves.flatMap(({ steps }) =>
    steps.filter(({ condition }) => condition?.outcome === "open").map(({ id }) => id),
  )
  const isAffordable = open.length * pipeline.steps.length <= alternativeStepsMax
  const otherwise = new Map(
    isAffordable ? open.map((id) => [id, differenceOf(walked, walk(sources, started, id), id)]) : [],
  )
  return {
    ...about,
    ...own.shown,
    ...walked,
    waves: walked.waves.map((wave) => ({
      ...wave,
      steps: wave.steps.map((step) => present({ ...step, otherwise: otherwise.get(step.id) })),
    })),
  }
}

/** What is other when this step is skipped. */
function differenceOf(one: Walk, other: Walk, stepId: string): Otherwise {
  const runs = idsOf(one)
  const runsThen = idsOf(other)
  return {
    skipped: [...runs].filter((id) => id !== stepId && !runsThen.has(id)),
    runs: [...runsThen].filter((id) => !runs.has(id)),
  }
}

function idsOf({ waves }: Walk): ReadonlySet<string> {
  return new Set(waves.flatMap(({ steps }) => steps.map(({ id }) => id)))
}
