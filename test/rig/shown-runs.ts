import { buildResource } from "../../src/cli/run-resource.ts"
import type { JsonObject } from "../../src/model/json.ts"
import type { RunView } from "../../src/model/run-view.ts"

/*
 * What an example says of itself. In the comments of a YAML text, or in its documentation, a run is shown like this:
 *
 *   conveyor run deploy --set branch=mine
 *   → failed: test failed, deploy skipped
 *     test: timed out after 1s
 *     test | a line of its log
 *     the run: step "test" failed: timed out after 1s
 *
 * The arrow says how the run ended, then every step that did not succeed at its first attempt. Below it stand messages of
 * steps, lines that their logs have, and the message of the run.
 */

export interface ShownRun {
  readonly pipeline: string
  /** `key=value`, as `conveyor run` takes them. */
  readonly set: readonly string[]
  /** What stands behind the arrow. */
  readonly outcome: string
  readonly messages: readonly { readonly of: string; readonly message: string }[]
  readonly lines: readonly { readonly step: string; readonly line: string }[]
}

const command = /^conveyor run ([\w.-]+)((?: --set \S+)*)$/

/** The runs that a text shows, in its order. One without a command is of the first pipeline in the text. */
export function shownRuns(text: string): readonly ShownRun[] {
  const lines = text.split("\n").map((line) => /^\s*#(.*)$/.exec(line)?.[1] ?? "")
  return lines.flatMap((line, at) => {
    const outcome = /^\s*→ (.+)$/.exec(line)?.[1]
    if (outcome === undefined) return []
    const [, named, set = ""] = command.exec(lines[at - 1]?.trim() ?? "") ?? []
    const pipeline = named ?? /^name: (\S+)$/m.exec(text)?.[1]
    if (pipeline === undefined) throw new Error(`Nothing says which pipeline is run:\n${text}`)
    const indent = line.indexOf("→")
    const rest = lines.slice(at + 1)
    const end = rest.findIndex((below) => below.trim() === "" || below.search(/\S/) <= indent)
    const details = rest.slice(0, end < 0 ? rest.length : end).map((below) => below.trim())
    return [{ pipeline, set: set.split(" --set ").slice(1), outcome, ...readDetails(details) }]
  })
}

function readDetails(details: readonly string[]): Pick<ShownRun, "messages" | "lines"> {
  const messages: { of: string; message: string }[] = []
  const lines: { step: string; line: string }[] = []
  for (const detail of details) {
    const [, of = "", sign, text = ""] = /^(the run|[\w.-]+)(:| \|) (.*)$/.exec(detail) ?? []
    if (sign === undefined) throw new Error(`Expected "step: message" or "step | line", found "${detail}"`)
    if (sign === ":") messages.push({ of, message: text })
    else lines.push({ step: of, line: text })
  }
  return { messages, lines }
}

/** How a run ended, in the words of an example. */
export function outcomeOf({ status, steps }: Pick<RunView, "status" | "steps">): string {
  const exceptions = steps.flatMap((step) => {
    if (step.status === "succeeded" && step.attempt === 1) return []
    return `${step.id} ${step.status}${step.attempt > 1 ? ` (attempt ${step.attempt})` : ""}`
  })
  return exceptions.length === 0 ? status : `${status}: ${exceptions.join(", ")}`
}

/** The resource that `conveyor run` would make for it. */
export function resourceFor(
  { pipeline, set }: Pick<ShownRun, "pipeline" | "set">,
  kind: string,
): Promise<JsonObject> {
  return buildResource({ pipeline, kind, name: `${pipeline}-${crypto.randomUUID().slice(0, 8)}`, set })
}
