import { ConveyorError } from "../errors.ts"
import { LogPosition } from "../model/log-position.ts"
import type { RunView, StepView } from "../model/run-view.ts"
import { type Client, isNew, type RunEvent, type StreamedLine } from "./client.ts"
import { LinesInTurn } from "./lines-in-turn.ts"
import type { RunOutput } from "./run-output.ts"

/**
 * Tells a run's events and log lines as they come, each line once and between the start and the end of its attempt;
 * resolves with the run when both have come to their end.
 */
export async function followRun(
  client: Client,
  { runId, output, signal }: { runId: string; output: RunOutput; signal: AbortSignal },
): Promise<RunView> {
  const seen = new LogPosition()
  const notices = new Set<string>()
  const turn = new LinesInTurn(output)
  const tell = (line: StreamedLine) => {
    if (line.stream !== "notice") {
      if (isNew(line, seen)) turn.line(line)
    } else if (!notices.has(line.message)) {
      notices.add(line.message)
      output.log(line)
    }
  }
  const log = async () => {
    for await (const line of client.runLog(runId, signal)) tell(line)
  }
  const events = async () => {
    for await (const event of client.runEvents(runId, signal)) {
      if (event.type === "end") return
      if (event.type !== "step") output.run(event.run)
      const steps = stepsOf(event)
      // Log and events come by two ways; what a step has logged is there to be read when it has ended.
      if (steps.some(hasEnded)) for await (const line of client.runLogAfter(runId, seen)) tell(line)
      for (const step of steps) turn.step(step)
    }
    throw new ConveyorError("SERVER_UNREACHABLE", `${client.url} ended the events of a run that goes on`)
  }
  await Promise.all([events(), log()])
  turn.end()
  return (await client.get(`/runs/${runId}`)) as unknown as RunView
}

function stepsOf(event: Exclude<RunEvent, { type: "end" }>): readonly StepView[] {
  switch (event.type) {
    case "step":
      return [event.step]
    case "snapshot":
      return event.run.steps
    case "run":
      return []
    default:
      return event satisfies never
  }
}

function hasEnded(step: StepView): boolean {
  return step.result !== undefined
}
