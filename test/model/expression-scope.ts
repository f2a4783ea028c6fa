import type { ExpressionScope } from "../../src/model/expression.ts"

/** What the expressions of these tests see. */
export const scope: ExpressionScope = {
  resource: {
    id: "1",
    name: "shop",
    resource: "app",
    version: 2,
    metadata: {},
    spec: { n: 3, half: 0.5, list: [1, 2, 3], text: "it's", nothing: null, deep: { a: true } },
    createdAt: "2026-01-01T00:00:00.000Z",
    updatedAt: "2026-01-01T00:00:00.000Z",
  },
  metadata: { registry: "registry.local" },
  results: { "build-1": { success: true, message: "built", data: { image: "i:1" } } },
  steps: {
    "build-1": { status: "succeeded", success: true, message: "built" },
    late: { status: "skipped" },
  },
  run: { id: "r1", pipeline: "release", createdAt: "2026-01-01T00:00:00.000Z" },
  event: "create",
  env: { CI: "true" },
}

/** Writes an expression as it stands in a text. */
export const cel = (expression: string) => `\${{ ${expression} }}`
