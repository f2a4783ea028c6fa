import { isStringList } from "../model/json.ts"
import type { LoadedModule } from "./loaded-module.ts"
import type { DriverContext } from "./sdk.ts"

/** The logger a driver of the older contract is given. `Log` also takes labels, which a log line has no place for. */
export interface LegacyLogger {
  log(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
  Log(labels: unknown, message: string): void
}

type LegacyReconcile = (payload: string, event: string, runId: string, logger: LegacyLogger) => unknown

/**
 * Reads a driver of the older contract: `Reconcile(payload, event, runId, logger) → { success, message, data }`, where
 * `payload` is the resource as JSON text. Its name and kinds may be written `Name`, `Resources` or in lower case.
 * Undefined when it is none.
 */
export function readLegacyDriver(
  candidate: Readonly<Record<string, unknown>>,
): LoadedModule | string | undefined {
  if (typeof candidate["Reconcile"] !== "function") return undefined
  const name = candidate["Name"] ?? candidate["name"]
  const resources = candidate["Resources"] ?? candidate["resources"] ?? []
  if (name !== undefined && typeof name !== "string") return "The driver's `Name` must be a string"
  if (!isStringList(resources))
    return "The driver's `Resources` must be a list of names of resource definitions"
  return {
    description: { ...(name === undefined ? {} : { name }), resources, type: "legacy" },
    reconcile: (ctx) =>
      (candidate as { Reconcile: LegacyReconcile }).Reconcile(
        JSON.stringify(ctx.resource),
        ctx.event,
        ctx.run.id,
        legacyLogger(ctx),
      ),
  }
}

function legacyLogger(ctx: DriverContext): LegacyLogger {
  const log = (message: string): void => void ctx.log(String(message))
  return { log, info: log, warn: log, error: log, Log: (_labels, message) => log(message) }
}
