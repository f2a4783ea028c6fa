import type { RunView, StepView } from "../../src/model/run-view.ts"
import { endedRun, post, readLog } from "../rig/served-host.ts"
import { until } from "../rig/until.ts"

/** What people do with the runs of a host: over HTTP, as anybody does. */
export interface WorkflowRuns {
  /** Sends a new resource down the pipeline and answers the run's id. */
  send(pipeline: string, spec: object): Promise<string>
  /** The run as it is now. */
  run(runId: string): Promise<RunView>
  /** The run once it has ended. */
  ended(runId: string): Promise<RunView>
  /** Waits until the run says something like this of itself. */
  says(runId: string, message: RegExp): Promise<RunView>
  /** Waits until the step runs. */
  reaches(runId: string, step: string): Promise<StepView>
  cancel(runId: string): Promise<void>
  rerun(runId: string, what: object): Promise<string>
  /** What the run's log says, line by line, each behind its step: `test | ok`. */
  log(runId: string): Promise<readonly string[]>
}

/** The runs of the host that serves there. */
export function runsAt(url: string): WorkflowRuns {
  const run = async (runId: string) => (await (await fetch(`${url}/runs/${runId}`)).json()) as RunView
  return {
    run,
    async send(pipeline, spec) {
      const found = (await (await fetch(`${url}/pipelines/${pipeline}`)).json()) as { resource: string }
      const body = { name: `${pipeline}-${Bun.randomUUIDv7()}`, resource: found.resource, pipeline, spec }
      return (await post(`${url}/resources`, body))["runid"] as string
    },
    ended: (runId) => endedRun(url, runId),
    says: (runId, message) =>
      until(`run ${runId} says ${message}`, async () => {
        const view = await run(runId)
        return message.test(view.message) ? view : undefined
      }),
    reaches: (runId, id) =>
      until(`step ${id} of run ${runId} runs`, async () =>
        (await run(runId)).steps.find((step) => step.id === id && step.status === "running"),
      ),
    async cancel(runId) {
      await post(`${url}/runs/${runId}/cancel`, {})
    },
    async rerun(runId, what) {
      return (await post(`${url}/runs/${runId}/rerun`, what))["runid"] as string
    },
    async log(runId) {
      const { lines } = await readLog(url, runId)
      return lines.map(({ step, message }) => `${step} | ${message}`)
    },
  }
}

/** How each step of the run ended, by its id. */
export function statusesOf(run: RunView): Record<string, string> {
  return Object.fromEntries(run.steps.map(({ id, status }) => [id, status]))
}

/** One step of a run. */
export function stepOf(run: RunView, id: string): StepView {
  const step = run.steps.find((each) => each.id === id)
  if (step === undefined) throw new Error(`The run has no step ${id}`)
  return step
}
