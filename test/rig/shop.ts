import type { Attempt } from "../../src/drivers/driver-host.ts"
import type { Resource } from "../../src/model/resource.ts"
import type { Run } from "../../src/model/run.ts"

const at = "2026-01-01T00:00:00.000Z"

/** A resource for tests to which it does not matter which one. */
export const shop: Resource = {
  id: "1",
  name: "shop",
  resource: "app",
  version: 1,
  metadata: {},
  spec: {},
  createdAt: at,
  updatedAt: at,
}

/** A run for the shop that has not begun, for tests that need records of one. */
export const shopRun = {
  runId: "run",
  event: "create",
  resource: { type: "app", name: "shop", version: 1 },
  pipeline: { name: "release", hash: "h" },
  status: "pending",
  createdAt: at,
} as const satisfies Run

/** What an attempt on the shop is made of, but for the driver, the workspace and the token. */
export const shopAttempt = {
  runId: "run-1",
  runCreatedAt: at,
  pipelineName: "release",
  stepId: "step",
  attempt: 1,
  event: "create",
  resource: shop,
  input: {},
  metadata: {},
  results: {},
  env: {},
  defer: () => Promise.reject(new Error("nothing is deferred here")),
  graceMs: 5_000,
} as const satisfies Partial<Attempt>
