import * as v from "valibot"
import { durationRule, durationSchema } from "./duration.ts"
import { resourceEventSchema } from "./event.ts"
import { jsonObjectSchema } from "./json.ts"
import { labelsSchema } from "./labels.ts"
import { nameSchema } from "./name.ts"
import { concurrencyPolicies, priorityMax, retryOutcomes, stepEffects, stepsMax } from "./pipeline.ts"

/*
 * A pipeline as people write it, in a file or in the body of `POST /pipelines`. Unknown fields are dropped here (older
 * clients send some); the loader of files refuses them by name with {@link pipelineFields}.
 */

const oneOf = (words: readonly string[]) => `Expected one of ${words.map((word) => `"${word}"`).join(", ")}`
const wholeNumber = (min: number, max: number) => {
  const rule = `Expected a whole number from ${min} to ${max}`
  return v.pipe(v.number(rule), v.integer(rule), v.minValue(min, rule), v.maxValue(max, rule))
}

/** A duration, or a text whose `${{ }}` give one when an attempt starts. */
const durationOrExpression = v.union(
  [durationSchema, v.pipe(v.string(), v.includes("${{", durationRule))],
  durationRule,
)

const retrySchema = v.object({
  attempts: wholeNumber(1, 100),
  backoff: v.optional(durationSchema),
  maxBackoff: v.optional(durationSchema),
  jitter: v.optional(
    v.pipe(
      v.number("Expected a number from 0 to 1"),
      v.minValue(0, "Expected a number from 0 to 1"),
      v.maxValue(1, "Expected a number from 0 to 1"),
    ),
  ),
  on: v.optional(
    v.pipe(
      v.array(v.picklist(retryOutcomes, oneOf(retryOutcomes)), "Expected a list"),
      v.minLength(1, oneOf(retryOutcomes)),
    ),
  ),
})

const envSchema = v.record(
  v.pipe(v.string(), v.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "Expected the name of a variable")),
  v.pipe(
    v.union([v.string(), v.number(), v.boolean()], "Expected a text, a number, true or false"),
    v.transform(String),
  ),
  "Expected variables such as { CC: clang }",
)

/** What every step may say, wherever it stands. */
const commonEntries = {
  id: v.optional(nameSchema),
  name: v.optional(v.string()),
  driver: nameSchema,
  with: v.optional(jsonObjectSchema),
  if: v.optional(v.pipe(v.union([v.string(), v.boolean()], "Expected an expression"), v.transform(String))),
  env: v.optional(envSchema),
  timeout: v.optional(durationOrExpression),
  queueTimeout: v.optional(durationSchema),
  retry: v.optional(retrySchema),
  continueOnError: v.optional(v.boolean()),
  effects: v.optional(v.picklist(stepEffects, oneOf(stepEffects))),
}

const ensureStepSchema = v.object(commonEntries)
export type EnsureStepSource = v.InferOutput<typeof ensureStepSchema>

const optionalNeedSchema = v.object({ step: nameSchema, optional: v.optional(v.boolean()) })
const needSchema = v.union(
  [nameSchema, optionalNeedSchema],
  'Expected the id of a step, or such as { step: "lint", optional: true }',
)

const finallyStepSchema = v.object({ ...commonEntries, needs: v.optional(v.array(needSchema)) })

const stepSchema = v.object({
  ...finallyStepSchema.entries,
  ensure: v.optional(
    v.union([v.array(ensureStepSchema), ensureStepSchema], "Expected a step, or a list of steps"),
  ),
})
export type StepSource = v.InferOutput<typeof stepSchema>

const concurrencySchema = v.object({
  key: v.pipe(v.string(), v.minLength(1, "Expected a text")),
  limit: v.optional(wholeNumber(1, 10_000)),
  policy: v.optional(v.picklist(concurrencyPolicies, oneOf(concurrencyPolicies))),
})

export const pipelineSourceSchema = v.object({
  kind: v.optional(v.literal("Pipeline")),
  name: nameSchema,
  description: v.optional(v.string()),
  version: v.optional(v.string()),
  resource: nameSchema,
  on: v.optional(v.pipe(v.array(resourceEventSchema), v.minLength(1, "Expected at least one event"))),
  metadata: v.optional(jsonObjectSchema),
  env: v.optional(envSchema),
  host: v.optional(labelsSchema),
  maxParallel: v.optional(wholeNumber(1, stepsMax)),
  failFast: v.optional(v.boolean()),
  timeout: v.optional(durationOrExpression),
  queueTimeout: v.optional(durationSchema),
  hold: v.optional(durationSchema),
  concurrency: v.optional(concurrencySchema),
  priority: v.optional(wholeNumber(-priorityMax, priorityMax)),
  steps: v.pipe(
    v.array(stepSchema, "Expected a list of steps"),
    v.minLength(1, "Expected at least one step"),
    v.maxLength(stepsMax, `Expected at most ${stepsMax} steps`),
  ),
  finally: v.optional(
    v.pipe(
      v.array(finallyStepSchema, "Expected a list of steps"),
      v.maxLength(stepsMax, `Expected at most ${stepsMax} steps`),
    ),
  ),
})
export type PipelineSource = v.InferOutput<typeof pipelineSourceSchema>

/** Every field of a pipeline and of each mapping in it, for naming the nearest one to a misspelt field. */
export const pipelineFields = {
  pipeline: Object.keys(pipelineSourceSchema.entries),
  step: Object.keys(stepSchema.entries),
  finally: Object.keys(finallyStepSchema.entries),
  ensure: Object.keys(commonEntries),
  retry: Object.keys(retrySchema.entries),
  concurrency: Object.keys(concurrencySchema.entries),
  need: Object.keys(optionalNeedSchema.entries),
} as const
