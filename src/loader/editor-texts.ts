import type { PipelineSource, StepSource } from "../model/pipeline-source.ts"
import type { DefinitionSource } from "../model/resource.ts"

/*
 * What an editor shows of each field of a file. The types see to it that no field is left out.
 */

type Texts<Source> = { readonly [field in keyof Required<Source>]: string }

export const kindText = "What the document declares: a pipeline, unless it says otherwise"

export const pipelineTexts: Texts<PipelineSource> = {
  kind: kindText,
  name: "How the API and the command line call it",
  description: "For people",
  version: "For people",
  resource: "The kind of resource it takes: the name of a resource definition",
  on: "What must happen to a resource for a run to start. Default: `[create]`",
  metadata: "Shared by all steps: `metadata` in expressions, `ctx.metadata` in a driver",
  env: "Variables of every step",
  host: 'Labels a host must have to do its steps, such as `{ gpu: "yes" }`. Default: any host',
  maxParallel: "How many steps of one run may run at the same time",
  failFast: "`false`: the other branches go on when a step has failed. Default: `true`",
  timeout: "How long a run may take, its cleanup not counted",
  queueTimeout: "How long each step may wait for a driver or a host",
  hold: "How long a run that is about to fail waits for the pipeline or a driver to be mended",
  concurrency: "How many runs there may be at the same time, by a key",
  priority: "What is more important goes first where runs wait for the same thing. Default: 0",
  steps: "What is done, in this order unless a step says `needs`",
  finally: "Steps that run when all others have ended, however they did",
}

export const stepTexts: Texts<StepSource> = {
  id: "How other steps, logs and results call it. Default: the driver's name",
  name: "For people",
  driver: "Which driver does it",
  with: "The driver's input. Texts in it may hold expressions",
  if: "Decides whether it starts or is skipped: an expression",
  env: "Variables for what the driver runs. Values may hold expressions",
  needs: "The steps it comes after; `[]` starts at once. Default: the step above",
  timeout: "How long an attempt may take. Default: `1h`",
  queueTimeout: "How long it may wait for a driver or a host",
  retry: "What is tried again, how often, and when",
  continueOnError: "`true`: a failure of it stops nothing",
  effects: "`once`: an attempt that was cut off is not made again before somebody says how it ended",
  ensure: "Steps that run when this one has ended, however it did",
}

export const retryTexts: Texts<NonNullable<StepSource["retry"]>> = {
  attempts: "How many attempts in all, the first included",
  backoff: "The wait before the second attempt; it doubles for each one after it",
  maxBackoff: "The longest wait",
  jitter: "The part of each wait that is left to chance, 0 to 1",
  on: "What is tried again. Default: `[failure, timeout]`",
}

export const concurrencyTexts: Texts<NonNullable<PipelineSource["concurrency"]>> = {
  key: "Runs with the same key count together. It may hold expressions",
  limit: "How many of them there may be. Default: 1",
  policy: "What one too many does: wait, take the place of the oldest, or end. Default: `queue`",
}

export const definitionTexts: Texts<DefinitionSource> = {
  kind: kindText,
  name: "The kind of the resources it describes",
  description: "For people",
  version: "For people",
  schema: "A JSON Schema of draft 4, draft 7 or 2020-12: what the `spec` of such a resource looks like",
}
