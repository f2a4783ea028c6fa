import type { Etcd3 } from "etcd3"
import { connect } from "../../src/store/etcd-client.ts"
import type { Lease, Revision } from "../../src/store/store.ts"
import type { Values } from "./metrics.ts"
import { ownCpuSeconds } from "./process-usage.ts"
import { median } from "./statistics.ts"
import { type RecordedTransition, transitionsOfRun } from "./transitions.ts"
import { stepsPerRun } from "./workload.ts"

const inFlight = 64
const runsInFlight = 1_024
const aloneRuns = 100
const leaseSeconds = 60

/** What etcd takes for the commits of the load: a guarded transaction for each transition, and nothing around it. */
export async function measureEtcdFloors(endpoint: string): Promise<Values> {
  const client = connect({ endpoints: [endpoint], prefix: "" })
  try {
    const { ID: id } = await client.leaseClient.leaseGrant({ TTL: leaseSeconds })
    const lease = { id, ttlMs: leaseSeconds * 1_000 }
    return { ...(await measureInFlight(client, lease)), ...(await measureAlone(client, lease)) }
  } finally {
    client.close()
  }
}

async function measureInFlight(client: Etcd3, lease: Lease): Promise<Values> {
  const waiting = Array.from({ length: runsInFlight }, () => transitionsOfRun(lease))
  const commitWaiting = async () => {
    for (let run = waiting.pop(); run !== undefined; run = waiting.pop()) await commitRun(client, run)
  }
  const cpuBefore = ownCpuSeconds()
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: inFlight }, commitWaiting))
  const seconds = (performance.now() - startedAt) / 1_000
  const steps = runsInFlight * stepsPerRun
  return {
    groupedRuns: runsInFlight / seconds,
    groupedSteps: steps / seconds,
    groupedCpu: ((ownCpuSeconds() - cpuBefore) * 1e6) / steps,
  }
}

async function measureAlone(client: Etcd3, lease: Lease): Promise<Values> {
  const latenciesMs: number[] = []
  for (let count = 0; count < aloneRuns; count++) {
    const run = transitionsOfRun(lease)
    const startedAt = performance.now()
    await commitRun(client, run)
    latenciesMs.push(performance.now() - startedAt)
  }
  return { aloneMs: median(latenciesMs) }
}

/** Commits one transition after the other, guarded by the revisions that the ones before have answered. */
async function commitRun(client: Etcd3, transitions: readonly RecordedTransition[]): Promise<void> {
  const revisions = new Map<string, Revision>()
  for (const { guards, writes } of transitions) {
    const answer = await client.kv.txn({
      compare: guards.map(({ key }) => ({
        result: "Equal",
        target: "Mod",
        key: Buffer.from(key),
        mod_revision: revisions.get(key) ?? 0,
      })),
      success: writes.map((write) =>
        write.type === "put"
          ? {
              request_put: {
                key: Buffer.from(write.key),
                value: Buffer.from(write.value),
                lease: write.lease?.id ?? 0,
              },
            }
          : { request_delete_range: { key: Buffer.from(write.key) } },
      ),
      failure: [],
    })
    if (!answer.succeeded) throw new Error("nobody else writes the keys of a run, so its guards must hold")
    for (const { type, key } of writes)
      revisions.set(key, type === "put" ? Number(answer.header.revision) : 0)
  }
}
