import type { HostProcess } from "./host-process.ts"
import { type LoadResult, runLoad } from "./load.ts"
import { idleMemory } from "./measure-ready.ts"
import type { Values } from "./metrics.ts"
import { residentMegabytes } from "./process-usage.ts"
import { percentile } from "./statistics.ts"
import { noopPipeline, stepsPerRun } from "./workload.ts"

/** Runs in flight at the same time, and connections. */
export const inFlight = 64
/** Runs before the clock starts: code that runs for the first time is slower than a host that has been up. */
const warmUpRuns = 200
const aloneRuns = 300
const pipeline = noopPipeline.name

/** Many runs in flight, and the host's memory before and after. The host must be a new one. */
export async function measureLoad(host: HostProcess, runs: number): Promise<Values> {
  const idleMegabytes = await idleMemory(host)
  await warmUp(host)
  const load = await runLoad({ host, pipeline, runs, inFlight })
  const loadedMegabytes = await residentMegabytes(host.pid)
  return {
    idleMegabytes,
    loadedMegabytes,
    loadRuns: runs / load.seconds,
    loadSteps: (runs * stepsPerRun) / load.seconds,
    loadP50: percentile(load.latenciesMs, 50),
    loadP95: percentile(load.latenciesMs, 95),
    loadP99: percentile(load.latenciesMs, 99),
    loadHostCpu: perStep(load, load.hostCpuSeconds),
    loadClientCpu: perStep(load, load.clientCpuSeconds),
  }
}

/** One run after the other on a host that does nothing else. */
export async function measureAlone(host: HostProcess): Promise<Values> {
  await warmUp(host)
  const load = await runLoad({ host, pipeline, runs: aloneRuns, inFlight: 1 })
  return {
    aloneRuns: aloneRuns / load.seconds,
    aloneP50: percentile(load.latenciesMs, 50),
    aloneP95: percentile(load.latenciesMs, 95),
    aloneP99: percentile(load.latenciesMs, 99),
    aloneHostCpu: perStep(load, load.hostCpuSeconds),
  }
}

async function warmUp(host: HostProcess): Promise<void> {
  await runLoad({ host, pipeline, runs: warmUpRuns, inFlight })
}

/** In microseconds. */
function perStep({ runs }: LoadResult, seconds: number): number {
  return (seconds * 1e6) / (runs * stepsPerRun)
}
