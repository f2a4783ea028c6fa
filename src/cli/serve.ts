import { relative } from "node:path"
import { type Config, type Flags, loadConfig, type StoreConfig } from "../config.ts"
import { type Host, startHost } from "../host.ts"
import { describeFault } from "../model/fault.ts"
import { version } from "../version.ts"
import { processLog } from "./process-log.ts"
import { watchSignals } from "./signals.ts"

/**
 * Runs a host until a signal. The first SIGTERM or SIGINT drains it and the answer is 0; a second one stops it at
 * once and the answer is 128 plus the signal's number. What it loaded and where it listens goes to stdout, the
 * process's log to stderr: as JSON, unless that is a terminal.
 */
export async function serve(flags: Flags): Promise<number> {
  using signals = watchSignals()
  const config = await loadConfig({ flags, env: process.env, cwd: process.cwd() })
  const log = processLog(config.logLevel, { plain: process.stderr.isTTY === true })
  await using host = await startHost(config, { log })
  process.stdout.write(startMessage(config, host))

  await signals.next()
  process.stdout.write(
    `stopping: running attempts have ${config.graceMs / 1_000}s; a second signal stops at once\n`,
  )
  const second = await Promise.race([host.drain(), signals.next()])
  if (second === undefined) return 0
  await host.stop()
  return second.exit
}

function startMessage(config: Config, host: Host): string {
  const { drivers, pipelines, faults } = host.loaded
  const near = (path: string) => relative(process.cwd(), path) || "."
  const lines = [
    `conveyor ${version}`,
    `  store      ${describeStore(config.store)}`,
    `  drivers    ${drivers.map((driver) => driver.name).join(", ") || "none"} (${near(config.drivers)})`,
    `  pipelines  ${pipelines} (${near(config.pipelines)})`,
    ...faults.map((fault) => `  fault      ${describeFault(fault)}`),
    `listening on ${host.url}`,
  ]
  return `${lines.join("\n")}\n`
}

function describeStore(store: StoreConfig): string {
  switch (store.type) {
    case "sqlite":
      return `sqlite ${store.file}`
    case "memory":
      return "memory (gone when the host stops)"
    case "etcd":
      return `etcd ${store.endpoints.join(", ")}, keys under ${store.prefix}`
    default:
      return store satisfies never
  }
}
