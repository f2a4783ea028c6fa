import { version as packageVersion } from "../package.json" with { type: "json" }

declare const CONVEYOR_COMMIT: string | undefined

/** The version of this Conveyor, `1.2.3`, or `1.2.3+<commit>` in an executable built from a git checkout. */
export const version: string =
  typeof CONVEYOR_COMMIT === "string" && CONVEYOR_COMMIT !== ""
    ? `${packageVersion}+${CONVEYOR_COMMIT}`
    : packageVersion
