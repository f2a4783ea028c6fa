import type { HostProcess } from "./host-process.ts"
import { runLoad } from "./load.ts"
import type { Values } from "./metrics.ts"
import { loggingPipeline, logLines } from "./workload.ts"

/** One attempt that logs many lines: the run ends when the last one is on disk. */
export async function measureLogs(host: HostProcess): Promise<Values> {
  const { seconds } = await runLoad({ host, pipeline: loggingPipeline.name, runs: 1, inFlight: 1 })
  return { logLines: logLines / seconds }
}
