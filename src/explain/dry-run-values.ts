import { messageOf } from "../errors.ts"
import type { Json, JsonObject } from "../model/json.ts"
import { type PipelineStep, timeoutMsDefault } from "../model/pipeline.ts"
import { present } from "../model/present.ts"
import type { RunValues } from "../model/run.ts"
import { metadataOf, type RunContent } from "../model/run-scope.ts"
import { durationOf, textsOf } from "../model/run-values.ts"
import type { Knowledge } from "./condition-outlook.ts"
import { knowledgeAtStart, shownVariables } from "./dry-run-knowledge.ts"
import { isOpen, knownValue, type Looking } from "./known-values.ts"
import type { DryRun, DryRunSources, PlannedStep } from "./planned-run.ts"

/** The pipeline's own values: as expressions see them, and as they are shown; or why the run would fail for them. */
export type OwnValues =
  | { readonly failure: string }
  | {
      readonly values: RunValues
      readonly shown: Pick<DryRun, "metadata" | "env" | "timeout" | "concurrency">
    }

/** Evaluates what the pipeline says of the run as a whole, as far as it is known. Never throws. */
export function ownValues(sources: DryRunSources, content: RunContent): OwnValues {
  const { pipeline } = sources
  try {
    const all = new Set(Object.keys(sources.env))
    const at = (of: string, metadata?: JsonObject) => ({
      knowledge: knowledgeAtStart(sources, content, metadata),
      shownVariables: all,
      of,
    })
    const metadata = knownValue(pipeline.metadata, at("the pipeline's metadata"))
    const inEnv = at("the pipeline's env", metadata)
    const env = pipeline.env && knownValue(pipeline.env, inEnv)
    const values = present({ metadata, env: env && textsOf(env) })
    const keyed = { ...content, run: { ...content.run, values } }
    const key = knownValue(pipeline.concurrency?.key ?? "", at("the concurrency key", metadataOf(keyed)))
    const timeout =
      pipeline.timeout === undefined
        ? pipeline.timeoutMs
        : timeoutOf(pipeline.timeout, at("the pipeline's timeout", metadata))
    return {
      values,
      shown: present({
        metadata,
        env: pipeline.env && knownValue(pipeline.env, { ...inEnv, shownVariables: shownVariables(sources) }),
        timeout,
        concurrency: pipeline.concurrency && { ...pipeline.concurrency, key },
      }),
    }
  } catch (error) {
    return { failure: messageOf(error) }
  }
}

/** What a step's driver is given, as far as it is known; or why it cannot be. Never throws. */
export function givenTo(
  step: PipelineStep,
  knowledge: Knowledge,
  sources: DryRunSources,
): Pick<PlannedStep, "failure" | "with" | "env" | "timeout"> {
  const at = (of: string) => ({ knowledge, shownVariables: shownVariables(sources), of })
  try {
    return present({
      with: step.with && knownValue(step.with, at("the input")),
      env: step.env && knownValue(step.env, at("the env")),
      timeout:
        step.timeout === undefined
          ? step.timeoutMs === timeoutMsDefault
            ? undefined
            : step.timeoutMs
          : timeoutOf(step.timeout, at("the timeout")),
    })
  } catch (error) {
    return { failure: messageOf(error) }
  }
}

/** Milliseconds, once all that a timeout reads is known. Throws when it is no duration. */
function timeoutOf(text: string, looking: Looking): Json {
  const value = knownValue(text as Json, looking)
  return isOpen(text, looking.knowledge) ? value : durationOf(value, looking.of)
}
