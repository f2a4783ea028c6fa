import { isStringList } from "../model/json.ts"
import { readLegacyDriver } from "./legacy.ts"
import type { LoadedDriver } from "./protocol.ts"
import type { DriverContext, StandardSchema } from "./sdk.ts"

/** A driver module that was imported and found to be one. */
export interface LoadedModule {
  readonly description: LoadedDriver
  readonly input?: StandardSchema<unknown, unknown>
  readonly output?: StandardSchema<unknown, unknown>
  /** See `readsResults` in sdk.ts. */
  readonly readsResults?: false
  /** Whatever it returns or throws is the attempt's end. */
  reconcile(ctx: DriverContext): unknown
  probe?(ctx: DriverContext): unknown
}

/**
 * Finds the driver in a module's exports: the default export, or the module itself (CommonJS, named exports).
 * Answers a sentence for the author when there is none.
 */
export function readModule(exports: Readonly<Record<string, unknown>>): LoadedModule | string {
  for (const candidate of [exports["default"], exports]) {
    if (!isRecord(candidate)) continue
    if (typeof candidate["reconcile"] === "function") return readDriver(candidate)
    const legacy = readLegacyDriver(candidate)
    if (legacy !== undefined) return legacy
  }
  return "The file exports no driver; expected `export default defineDriver({ reconcile(ctx) { … } })`"
}

function readDriver(driver: Record<string, unknown>): LoadedModule | string {
  const { name, resources = [], input, output, readsResults = true } = driver
  if (name !== undefined && typeof name !== "string") return "The driver's `name` must be a string"
  if (!isStringList(resources))
    return "The driver's `resources` must be a list of names of resource definitions"
  if (input !== undefined && !isSchema(input)) return notSchema("input")
  if (output !== undefined && !isSchema(output)) return notSchema("output")
  if (typeof readsResults !== "boolean") return "The driver's `readsResults` must be true or false"
  return {
    description: { ...(name === undefined ? {} : { name }), resources, type: "module" },
    ...(input === undefined ? {} : { input }),
    ...(output === undefined ? {} : { output }),
    ...(readsResults ? {} : { readsResults: false as const }),
    reconcile: (ctx) => (driver as { reconcile(ctx: DriverContext): unknown }).reconcile(ctx),
    ...(typeof driver["probe"] !== "function"
      ? {}
      : { probe: (ctx) => (driver as { probe(ctx: DriverContext): unknown }).probe(ctx) }),
  }
}

function notSchema(field: string): string {
  return `The driver's \`${field}\` must be a Standard Schema (valibot, zod, arktype, …)`
}

function isSchema(value: unknown): value is StandardSchema<unknown, unknown> {
  // A schema may be a function (arktype) as well as an object.
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false
  const standard = (value as Record<string, unknown>)["~standard"]
  return isRecord(standard) && typeof standard["validate"] === "function"
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null
}
