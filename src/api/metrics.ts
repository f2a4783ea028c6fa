import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client"
import { prefixes } from "../store/keys.ts"
import type { Change } from "../store/store.ts"
import type { Route } from "./route.ts"

/** Counts what the run feed shows, since this host has started. */
export interface Metrics {
  readonly registry: Registry
  /** Counts one change under `runs/`. */
  count(change: Change): void
}

/** New counters. `activeRuns` are the ids of the runs that had not ended at the start. */
export function newMetrics(activeRuns: Iterable<string>): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const runs = new Counter({
    name: "conveyor_runs_total",
    help: "Runs that came to this status",
    labelNames: ["status"],
    registers: [registry],
  })
  const steps = new Counter({
    name: "conveyor_steps_total",
    help: "Steps that came to this status; each attempt is running once",
    labelNames: ["status"],
    registers: [registry],
  })
  const active = new Set(activeRuns)
  new Gauge({
    name: "conveyor_runs_active",
    help: "Runs that have not ended",
    registers: [registry],
    collect() {
      this.set(active.size)
    },
  })
  const stepsPrefix = `${prefixes.runs}step/`

  return {
    registry,
    count(change) {
      const key = change.type === "put" ? change.entry.key : change.key
      if (key.startsWith(prefixes.activeRuns)) {
        const runId = key.slice(prefixes.activeRuns.length)
        if (change.type === "put") active.add(runId)
        else active.delete(runId)
      } else if (change.type === "put") {
        if (key.startsWith(stepsPrefix)) steps.inc({ status: statusOf(change.entry.value) })
        else if (key.startsWith(prefixes.runHeaders)) runs.inc({ status: statusOf(change.entry.value) })
      }
    },
  }
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
        return new Response(await metrics.registry.metrics(), {
          headers: { "content-type": metrics.registry.contentType },
        })
      },
    },
  ]
}

const statusFirst = /^\{"status":"([a-z]+)"/

/** The status of a record. Nearly all begin with it, and then nothing else needs to be read. */
function statusOf(value: string): string {
  return statusFirst.exec(value)?.[1] ?? String((JSON.parse(value) as { status?: unknown }).status)
}
