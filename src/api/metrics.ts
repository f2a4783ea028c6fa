import type { Registry } from "prom-client"
import { isEnded, type RunStatus } from "../model/run.ts"
import { keyOf } from "../store/change.ts"
import { prefixes } from "../store/keys.ts"
import type { Change, Listing } from "../store/store.ts"
import type { Route } from "./route.ts"

/** Counts what the run feed shows, since this host has started. */
export interface Metrics {
  /** Takes the marks of active runs as they are now for all there are. */
  restart(listing: Listing): void
  /** Counts one change under `runs/`. */
  count(change: Change): void
  /** The registry with the counts and those of the process; made when it is first asked for. */
  registry(): Promise<Registry>
}

const stepsPrefix = `${prefixes.runs}step/`

/**
 * New counts. Counting is plain, because it is done for every transition; the client library is loaded when someone
 * looks.
 */
export function newMetrics(): Metrics {
  const active = new Set<string>()
  const runs = new Map<string, number>()
  const steps = new Map<string, number>()
  /** The status that was counted last, of runs that have not ended: a header is also written for other reasons. */
  const counted = new Map<string, string>()
  let registry: Promise<Registry> | undefined

  function countRun(key: string, status: string): void {
    if (counted.get(key) === status) return
    increment(runs, status)
    if (isEnded(status as RunStatus)) counted.delete(key)
    else counted.set(key, status)
  }

  return {
    restart({ entries }) {
      active.clear()
      for (const { key } of entries) active.add(key)
    },
    count(change) {
      const key = keyOf(change)
      if (key.startsWith(prefixes.activeRuns)) {
        if (change.type === "put") active.add(key)
        else active.delete(key)
      } else if (change.type === "put") {
        if (key.startsWith(stepsPrefix)) increment(steps, statusOf(change.entry.value))
        else if (key.startsWith(prefixes.runHeaders)) countRun(key, statusOf(change.entry.value))
      }
    },
    registry() {
      registry ??= newRegistry({ active, runs, steps })
      return registry
    },
  }
}

interface Counts {
  readonly active: ReadonlySet<string>
  /** By status. */
  readonly runs: ReadonlyMap<string, number>
  readonly steps: ReadonlyMap<string, number>
}

async function newRegistry({ active, runs, steps }: Counts): Promise<Registry> {
  const { Counter, collectDefaultMetrics, Gauge, Registry } = await import("prom-client")
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: "conveyor_runs_active",
    help: "Runs that have not ended",
    registers,
    collect() {
      this.set(active.size)
    },
  })
  for (const { name, help, counts } of [
    { name: "conveyor_runs_total", help: "Runs that came to this status", counts: runs },
    { name: "conveyor_steps_total", help: "Attempts of steps that came to this status", counts: steps },
  ]) {
    new Counter({
      name,
      help,
      labelNames: ["status"],
      registers,
      collect() {
        this.reset()
        for (const [status, count] of counts) this.inc({ status }, count)
      },
    })
  }
  return registry
}

function increment(counts: Map<string, number>, status: string): void {
  counts.set(status, (counts.get(status) ?? 0) + 1)
}

/** Metrics in the format of Prometheus. */
export function metricRoutes(metrics: Metrics): readonly Route[] {
  return [
    {
      method: "GET",
      path: "/metrics",
      summary: "Metrics of this host, in the format of Prometheus",
      responses: { 200: { type: "text", description: "The metrics" } },
      async handle() {
        const registry = await metrics.registry()
        return new Response(await registry.metrics(), { headers: { "content-type": registry.contentType } })
      },
    },
  ]
}

const statusFirst = /^\{"status":"([a-z]+)"/

/** The status of a record. Nearly all begin with it, and then nothing else needs to be read. */
function statusOf(value: string): string {
  return statusFirst.exec(value)?.[1] ?? String((JSON.parse(value) as { status?: unknown }).status)
}
