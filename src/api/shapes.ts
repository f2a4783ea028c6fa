import * as v from "valibot"
import { resourceEvents } from "../model/event.ts"
import { logStreams } from "../model/log.ts"
import { concurrencyPolicies, retryOutcomes, stepEffects } from "../model/pipeline.ts"
import { runStatuses, stepStatuses } from "../model/run.ts"
import type { ResponseShape } from "./route.ts"

/*
 * What the API answers, for the OpenAPI document. Answers are made from records that are valid already, so these are
 * not run against them; a test compares the two.
 */

/** A JSON answer. */
export const json = (schema: v.GenericSchema, description: string): ResponseShape => ({
  type: "json",
  schema,
  description,
})
/** A stream of server-sent events. */
export const events = (description: string): ResponseShape => ({ type: "events", description })
/** An answer without a body. */
export const nothing = (description: string): ResponseShape => ({ type: "nothing", description })
/** Lists are bare arrays; the next page is in the header `Link`. */
export const listOf = (schema: v.GenericSchema) => v.array(schema)

/** The query of a list. */
export const pageQuery = {
  limit: "How many items at most: 1 to 1000, 100 by default",
  after: 'Where the page begins; taken from the header "Link" of the page before',
} as const
/** The query of what can wait for a run. */
export const waitQuery = {
  wait: 'Answer when the run has ended or this much time is up, such as "30s"; at most "5m"',
} as const
/** The headers of what is safe to send twice. */
export const idempotencyHeaders = {
  "Idempotency-Key":
    "1 to 255 visible ASCII characters of your own. For 24 hours a request with the same key and body does nothing and is answered as the first one was, with the header Idempotency-Replayed",
} as const

export const anything = v.unknown()
const mapping = v.record(v.string(), v.unknown())
const texts = v.record(v.string(), v.string())
const time = v.pipe(v.string(), v.isoTimestamp())
const optional = v.exactOptional

/** A fault in what a client sent or a person wrote. */
export const faultShape = v.object({
  message: v.string(),
  path: optional(v.string()),
  file: optional(v.string()),
  line: optional(v.number()),
  column: optional(v.number()),
  nearest: optional(v.string()),
  severity: optional(v.picklist(["error", "warning"])),
  hosts: optional(v.array(v.string())),
})

/** Every error. */
export const problemShape = v.object({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  detail: v.string(),
  instance: v.string(),
  code: v.string(),
  error: v.string(),
  faults: optional(v.array(faultShape)),
})

export const definitionShape = v.object({
  id: v.string(),
  name: v.string(),
  description: optional(v.string()),
  version: optional(v.string()),
  schema: v.union([v.boolean(), mapping]),
  file: optional(v.string()),
  createdAt: time,
  updatedAt: time,
})

const resourceFields = {
  id: v.string(),
  name: v.string(),
  resource: v.string(),
  pipeline: optional(v.string()),
  metadata: mapping,
  spec: anything,
  createdAt: time,
  updatedAt: time,
}
export const resourceShape = v.object({ ...resourceFields, version: v.number() })

const driverResult = v.object({
  success: v.boolean(),
  message: v.string(),
  data: optional(anything),
  /** In the place of data over 64 KiB. */
  dataRef: optional(v.object({ bytes: v.number(), sha256: v.string(), url: v.string() })),
})

const stepRole = v.picklist(["ensure", "finally", "deferred"])

export const stepShape = v.object({
  id: v.string(),
  name: optional(v.string()),
  role: optional(stepRole),
  driver: v.string(),
  needs: v.array(v.string()),
  status: v.picklist(stepStatuses),
  message: v.string(),
  attempt: v.number(),
  driverHash: optional(v.string()),
  hostId: optional(v.string()),
  startedAt: optional(time),
  finishedAt: optional(time),
  durationMs: optional(v.number()),
  result: optional(driverResult),
  keptFrom: optional(v.string()),
  condition: optional(
    v.object({
      expression: v.string(),
      values: v.array(v.object({ expression: v.string(), value: optional(anything) })),
    }),
  ),
})

const runFields = {
  runId: v.string(),
  status: v.picklist(runStatuses),
  message: v.string(),
  event: v.picklist(resourceEvents),
  resource: v.object({ type: v.string(), name: v.string(), version: v.number() }),
  pipeline: optional(v.object({ name: v.string(), hash: v.string() })),
  drivers: optional(v.record(v.string(), v.string())),
  rerunOf: optional(v.string()),
  concurrency: optional(
    v.object({
      key: v.string(),
      limit: v.number(),
      policy: v.picklist(concurrencyPolicies),
      queuedAt: optional(time),
    }),
  ),
  heldSince: optional(time),
  createdAt: time,
  startedAt: optional(time),
  finishedAt: optional(time),
  durationMs: optional(v.number()),
  cancelRequestedAt: optional(time),
}
/** A run in a list, and in the event `run`. */
export const runSummaryShape = v.object(runFields)
export const runShape = v.object({ ...runFields, steps: v.array(stepShape) })

export const createdResourceShape = v.object({
  name: v.string(),
  runid: v.string(),
  message: v.string(),
  version: v.string(),
  run: optional(runShape),
})
export const rerunShape = v.object({ runid: v.string(), message: v.string(), run: optional(runShape) })
export const updatedResourceShape = v.object({
  ...resourceFields,
  version: v.string(),
  runid: v.string(),
  message: v.string(),
  run: optional(runShape),
})

export const pipelineShape = v.object({
  name: v.string(),
  description: optional(v.string()),
  version: optional(v.string()),
  resource: v.string(),
  on: v.array(v.picklist(resourceEvents)),
  metadata: mapping,
  env: optional(texts),
  host: optional(texts),
  maxParallel: optional(v.number()),
  failFast: optional(v.boolean()),
  timeoutMs: optional(v.number()),
  timeout: optional(v.string()),
  holdMs: optional(v.number()),
  concurrency: optional(
    v.object({ key: v.string(), limit: v.number(), policy: v.picklist(concurrencyPolicies) }),
  ),
  priority: optional(v.number()),
  steps: v.array(
    v.object({
      id: v.string(),
      name: optional(v.string()),
      role: optional(v.object({ type: stepRole, of: optional(v.string()) })),
      driver: v.string(),
      with: optional(mapping),
      env: optional(texts),
      if: optional(v.string()),
      needs: v.array(v.string()),
      optional: optional(v.array(v.string())),
      timeoutMs: v.number(),
      timeout: optional(v.string()),
      queueTimeoutMs: optional(v.number()),
      retry: optional(
        v.object({
          attempts: v.number(),
          backoffMs: v.number(),
          maxBackoffMs: optional(v.number()),
          jitter: optional(v.number()),
          on: optional(v.array(v.picklist(retryOutcomes))),
        }),
      ),
      continueOnError: optional(v.boolean()),
      effects: optional(v.picklist(stepEffects)),
    }),
  ),
  hash: v.string(),
  file: optional(v.string()),
  createdAt: time,
  updatedAt: time,
  faults: optional(v.array(faultShape)),
  drift: optional(v.array(v.object({ hostId: v.string(), file: v.string(), hash: v.string() }))),
})

export const logLineShape = v.object({
  runid: v.string(),
  driver: v.string(),
  pipeline: v.string(),
  timestamp: time,
  message: v.string(),
  sequence: v.number(),
  /** Which of the run's places it lies in; absent for the first. */
  place: optional(v.number()),
  step: optional(v.string()),
  attempt: optional(v.number()),
  stream: v.picklist([...logStreams, "notice"]),
})

const driverFields = {
  name: v.string(),
  hash: v.string(),
  resources: v.array(v.string()),
  type: v.picklist(["module", "legacy", "executable"]),
  source: v.string(),
}
/** A driver file that never loaded has a name, a source and faults, and nothing else. */
export const driverShape = v.object({
  ...driverFields,
  hash: optional(v.string()),
  resources: optional(v.array(v.string())),
  type: optional(driverFields.type),
  hosts: v.array(v.string()),
  faults: v.array(faultShape),
})
export const describedDriverShape = v.object({
  ...driverShape.entries,
  inputSchema: optional(mapping),
  outputSchema: optional(mapping),
  readsResults: optional(v.boolean()),
})

export const hostShape = v.object({
  hostId: v.string(),
  folder: v.string(),
  version: v.string(),
  startedAt: time,
  url: optional(v.string()),
  labels: v.record(v.string(), v.string()),
  load: v.object({ attempts: v.number(), attemptsMax: v.number() }),
  drivers: v.array(v.object(driverFields)),
  driverFaults: v.array(faultShape),
  drift: v.array(
    v.object({
      kind: v.picklist(["pipeline", "definition"]),
      name: v.string(),
      file: v.string(),
      here: v.string(),
      store: v.string(),
      heldBy: v.array(v.string()),
    }),
  ),
})

export const healthShape = v.object({
  status: v.picklist(["ok", "unavailable"]),
  version: v.string(),
  hostId: v.string(),
  store: v.picklist(["ok", "unavailable"]),
})
