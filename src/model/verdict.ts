import type { StepState, Verdict } from "./run.ts"

/** How a run ends by its way: it has failed at this step, or it has succeeded. */
export function verdictOf(
  failed: string | undefined,
  states: { get(stepId: string): StepState | undefined },
): Verdict {
  return failed === undefined
    ? { status: "succeeded", message: "" }
    : { status: "failed", message: failureOf("step", failed, states.get(failed)) }
}

/** `step "build" failed: no such file`. */
function failureOf(what: "step" | "cleanup step", stepId: string, state: StepState | undefined): string {
  const message = state !== undefined && "result" in state ? state.result.message : ""
  return message === "" ? `${what} "${stepId}" failed` : `${what} "${stepId}" failed: ${message}`
}

/**
 * A verdict once these cleanup steps have failed: a run that had succeeded has failed; an earlier failure stays the first
 * thing that is said.
 */
export function withCleanup(
  verdict: Verdict,
  failed: readonly string[],
  states: { get(stepId: string): StepState | undefined },
): Verdict {
  if (failed.length === 0) return verdict
  const cleanup = failed.map((id) => failureOf("cleanup step", id, states.get(id))).join("; ")
  return verdict.status === "succeeded"
    ? { status: "failed", message: cleanup }
    : { ...verdict, message: `${verdict.message}; ${cleanup}` }
}
