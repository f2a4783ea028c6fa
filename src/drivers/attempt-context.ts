import type { Attempt } from "./driver-host.ts"
import type { AttemptContext } from "./protocol.ts"

/** What a driver is told of an attempt, as plain data: in a message to its thread, or as JSON on stdin. */
export function attemptContext(attempt: Attempt): AttemptContext {
  const { resource, event, input, metadata, results, env, token, workspace, driver, pipelineName } = attempt
  return {
    resource,
    event,
    input,
    metadata,
    results,
    env,
    run: {
      id: attempt.runId,
      ...(pipelineName === undefined ? {} : { pipeline: pipelineName }),
      createdAt: attempt.runCreatedAt,
    },
    step: { id: attempt.stepId, driver: driver.name },
    attempt: attempt.attempt,
    token,
    workspace,
    ...(attempt.probing === true ? { probing: true as const } : {}),
  }
}
