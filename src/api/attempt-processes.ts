import type { RunExplanation } from "../explain/explanation.ts"
import type { HostRecord } from "../model/host.ts"
import type { Claim, Run, StepState } from "../model/run.ts"
import type { RunningProcess } from "../model/running-process.ts"
import type { ApiContext } from "./route.ts"

/** A host that does not answer within this time is not waited for. */
const answerMsMax = 1_000

/**
 * What runs now of the attempts of a run, by step: as far as this host sees it, and, where attempts run on other ones
 * among `hosts`, as these say. A step of a host that does not say it is not among them.
 */
export async function processesOfRun(
  { hostId: here, processesOf }: Pick<ApiContext, "hostId" | "processesOf">,
  {
    run: { runId },
    states,
    claims,
    hosts,
    signal,
  }: {
    readonly run: Run
    readonly states: ReadonlyMap<string, StepState>
    readonly claims: ReadonlyMap<string, Claim>
    readonly hosts: readonly HostRecord[]
    readonly signal: AbortSignal
  },
): Promise<ReadonlyMap<string, readonly RunningProcess[]>> {
  const known = new Map<string, readonly RunningProcess[]>()
  const elsewhere = new Set<string>()
  const running = [...claims].filter(([stepId]) => states.get(stepId)?.status === "running")
  const looked = running.some(([, { hostId }]) => hostId === here) ? processesOf(runId) : undefined
  for (const [stepId, { hostId, attempt }] of running) {
    if (hostId !== here) elsewhere.add(hostId)
    else if (looked !== undefined) known.set(stepId, looked({ stepId, attempt }))
  }
  const asked = hosts.filter(({ hostId }) => elsewhere.has(hostId))
  const answers = await Promise.all(asked.map((host) => askHost(host, runId, signal)))
  for (const [index, { hostId }] of asked.entries()) {
    for (const [stepId, processes] of answers[index] ?? []) {
      if (claims.get(stepId)?.hostId === hostId) known.set(stepId, processes)
    }
  }
  return known
}

/** What a host says of the attempts that run there. Nothing when it does not answer. */
async function askHost(
  { url }: HostRecord,
  runId: string,
  signal: AbortSignal,
): Promise<readonly (readonly [stepId: string, processes: readonly RunningProcess[]])[]> {
  if (url === undefined) return []
  try {
    const response = await fetch(`${url}/runs/${runId}/explain?local=true`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)]),
    })
    if (!response.ok) return []
    const { steps } = (await response.json()) as RunExplanation
    return steps.flatMap(({ id, reason }) =>
      reason.type === "running" && reason.processes !== undefined ? [[id, reason.processes] as const] : [],
    )
  } catch {
    // It is explained without.
    return []
  }
}
