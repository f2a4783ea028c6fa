import pino from "pino"
import { loadConfig } from "../../src/config.ts"
import { startHost } from "../../src/host.ts"
import { describeFault } from "../../src/model/fault.ts"
import { workflowFolder } from "./workflow-folder.ts"
import { runsAt, type WorkflowRuns } from "./workflow-runs.ts"

/** A host in this process that serves one of the workflows beside this file. */
export interface WorkflowHost extends WorkflowRuns, AsyncDisposable {
  /** Its pipelines, drivers and data lie in it. */
  readonly folder: string
}

/** Starts it. `variables` are those of the host that the workflow's expressions may read; they may name the folder. */
export async function startWorkflow(
  name: string,
  variables: (folder: string) => Readonly<Record<string, string>> = () => ({}),
): Promise<WorkflowHost> {
  await using parts = new AsyncDisposableStack()
  const folder = parts.use(await workflowFolder(name)).path
  const env = variables(folder)
  const flags = { port: "0", grace: "1s", env: Object.keys(env).join(",") }
  const config = await loadConfig({ flags, env, cwd: folder })
  const host = parts.use(await startHost(config, { log: pino({ level: "silent" }) }))
  const { faults } = host.loaded
  if (faults.length > 0) throw new Error(faults.map(describeFault).join("\n"))
  const held = parts.move()
  return { folder, ...runsAt(host.url), [Symbol.asyncDispose]: () => held.disposeAsync() }
}
