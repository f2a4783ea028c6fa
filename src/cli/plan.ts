import { loadConfig } from "../config.ts"
import { ConveyorError } from "../errors.ts"
import { dryRun } from "../explain/dry-run.ts"
import type { DryRun } from "../explain/planned-run.ts"
import { type ResourceEvent, resourceEvents } from "../model/event.ts"
import { describeFault, type Fault } from "../model/fault.ts"
import { didYouMean, nearestName } from "../model/nearest.ts"
import type { Pipeline } from "../model/pipeline.ts"
import type { DefinitionSource } from "../model/resource.ts"
import { createClient } from "./client.ts"
import { type OutputOptions, outputOf } from "./output-options.ts"
import { isPipelineFile } from "./pipeline-argument.ts"
import { type FoundPipeline, findPipeline } from "./pipeline-files.ts"
import { planLines } from "./plan-output.ts"
import { eventToPlan, resourceToPlan } from "./plan-resource.ts"
import { printable, widthOf } from "./terminal.ts"

/** `settings`: they say which folders there are, and which variables may be read. */
export interface PlanOptions extends OutputOptions {
  /** A YAML or JSON file with a resource or a spec. */
  readonly resource?: string
  /** `key=value` for the spec. */
  readonly set: readonly string[]
  /** What happens to the resource. Default: the first event that the pipeline is for. */
  readonly event?: string
  /** Steps that are taken to fail. */
  readonly fail: readonly string[]
  /** The host whose pipeline it is; without it the pipeline is read from files. */
  readonly server?: string
}

/**
 * `conveyor plan`: says what a run of a pipeline would do, in which order, with each condition's values and outcome, as far
 * as that can be told before it starts. Runs and stores nothing. Answers 1 when the run would fail though no step was
 * said to, else 0.
 */
export async function plan(wanted: string, options: PlanOptions): Promise<number> {
  const { print } = outputOf(options)
  const config = await loadConfig({ flags: options.settings, env: process.env, cwd: process.cwd() })
  const { pipeline, definition, warnings, failures } =
    options.server === undefined
      ? await findPipeline(wanted, config)
      : await pipelineOn(options.server, wanted)
  const { resource: file, set } = options
  const { resource, madeUp } = await resourceToPlan(pipeline, {
    set,
    ...(file === undefined ? {} : { file }),
    ...(definition === undefined ? {} : { definition }),
  })
  const planned = dryRun({
    pipeline,
    resource,
    madeUp,
    event: eventToPlan(pipeline, eventNamed(options.event)),
    env: config.env,
    fails: stepsNamed(pipeline, options.fail),
    failures,
  })
  if (options.json) print(JSON.stringify({ ...planned, warnings }, undefined, 2))
  else printPlan(planned, { pipeline, isGiven: !madeUp.has("spec"), warnings, output: outputOf(options) })
  return planned.verdict.status === "failed" && options.fail.length === 0 ? 1 : 0
}

function printPlan(
  planned: DryRun,
  {
    pipeline,
    isGiven,
    warnings,
    output: { print, style },
  }: {
    readonly pipeline: Pipeline
    readonly isGiven: boolean
    readonly warnings: readonly Fault[]
    readonly output: ReturnType<typeof outputOf>
  },
): void {
  for (const fault of warnings) {
    const sign = fault.severity === "warning" ? `${style.yellow("warning:")} ` : ""
    print(sign + printable(describeFault(fault)))
  }
  if (warnings.length > 0) print("")
  const layout = { style, width: widthOf(process.stdout) }
  for (const line of planLines(planned, { pipeline, isGiven, layout })) print(line)
}

/** The pipeline that new runs on a host start with. */
async function pipelineOn(server: string, wanted: string): Promise<FoundPipeline> {
  if (isPipelineFile(wanted)) {
    throw new ConveyorError("USAGE", "A file is planned without a host; --server takes a pipeline's name")
  }
  const client = createClient(server)
  const pipeline = (await client.get(`/pipelines/${encodeURIComponent(wanted)}`)) as unknown as Pipeline
  const found = await client.find(`/resource-definitions/${encodeURIComponent(pipeline.resource)}`)
  const definition = found as unknown as Pick<DefinitionSource, "schema"> | undefined
  return { pipeline, warnings: [], failures: new Map(), ...(definition === undefined ? {} : { definition }) }
}

function eventNamed(name: string | undefined): ResourceEvent | undefined {
  const event = resourceEvents.find((each) => each === name)
  if (name === undefined || event !== undefined) return event
  throw new ConveyorError("USAGE", `--event expects ${resourceEvents.join(", ")}, not "${name}"`)
}

function stepsNamed({ name, steps }: Pipeline, ids: readonly string[]): ReadonlySet<string> {
  const known = steps.map(({ id }) => id)
  for (const id of ids) {
    if (known.includes(id)) continue
    const nearest = nearestName(id, known)
    const mend = nearest === undefined ? `; its steps are ${known.join(", ")}` : didYouMean(nearest)
    throw new ConveyorError("USAGE", `The pipeline "${name}" has no step "${id}"${mend}`)
  }
  return new Set(ids)
}
