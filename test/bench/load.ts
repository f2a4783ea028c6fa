import { cpuSeconds, ownCpuSeconds } from "./process-usage.ts"

/** What a number of runs took, sent over HTTP with some of them in flight. */
export interface LoadResult {
  readonly runs: number
  readonly seconds: number
  /** From before the request is sent until the answer is read: one for each run. */
  readonly latenciesMs: readonly number[]
  /** User and system time of the host's process. */
  readonly hostCpuSeconds: number
  /** User and system time of this process, which shares the machine with the host. */
  readonly clientCpuSeconds: number
}

export interface LoadOptions {
  readonly host: { readonly url: string; readonly pid: number }
  readonly pipeline: string
  readonly runs: number
  /** Each holds a connection, and sends its next run when its last one has finished. */
  readonly inFlight: number
}

/** Sends runs to a host and waits for each to succeed. Throws when one does not. */
export async function runLoad({ host, pipeline, runs, inFlight }: LoadOptions): Promise<LoadResult> {
  const url = `${host.url}/resources?wait=30s`
  const latenciesMs: number[] = []
  let sent = 0
  const sendUntilDone = async () => {
    while (sent < runs) {
      const name = `${pipeline}-${Bun.randomUUIDv7()}`
      sent++
      const startedAt = performance.now()
      await sendRun(url, JSON.stringify({ name, resource: "item", pipeline, spec: { size: 1 } }))
      latenciesMs.push(performance.now() - startedAt)
    }
  }
  const hostBefore = await cpuSeconds(host.pid)
  const clientBefore = ownCpuSeconds()
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: inFlight }, sendUntilDone))
  return {
    runs,
    seconds: (performance.now() - startedAt) / 1_000,
    latenciesMs,
    hostCpuSeconds: (await cpuSeconds(host.pid)) - hostBefore,
    clientCpuSeconds: ownCpuSeconds() - clientBefore,
  }
}

/** The answer is searched, not parsed: the client shares two cores with what it measures. */
async function sendRun(url: string, body: string): Promise<void> {
  const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })
  const text = await response.text()
  // The run's own status stands before those of its steps.
  if (/"status":"(\w+)"/.exec(text)?.[1] !== "succeeded") {
    throw new Error(`every run of the load must succeed; the host answered ${response.status}: ${text}`)
  }
}
